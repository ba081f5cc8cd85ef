"""Every option of the command line, each declared once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from concierge_calls.cli.completion import every_run, unfinished_runs
from concierge_calls.settings.fields import SETTINGS


def of_setting(name: str) -> str:
    """Return the help of an option that stands for a setting."""
    known = SETTINGS[name]
    default = "" if known.default in (None, False) else f"; default {_shown(known.default)}"
    return f"{known.sentence} (env {known.variable}{default})"


def _shown(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


Providers = Annotated[
    str,
    typer.Argument(
        help="The providers file: .csv, .tsv, .json or .jsonl, or - for standard input.", metavar="PROVIDERS"
    ),
]
Phone = Annotated[str, typer.Argument(help="The number to call.", metavar="PHONE")]
Name = Annotated[str, typer.Option("--name", help="The business that is called.", metavar="NAME")]
Run = Annotated[
    str, typer.Argument(help="The run's id, from: concierge-calls runs.", metavar="RUN", autocompletion=every_run)
]
OptionalRun = Annotated[
    str | None,
    typer.Argument(
        help="The run's id; without it the latest unfinished one.", metavar="RUN", autocompletion=unfinished_runs
    ),
]

Service = Annotated[
    str | None, typer.Option("--service", help="What is needed: plumbing, moving, catering.", metavar="TEXT")
]
Criteria = Annotated[
    str | None, typer.Option("--criteria", help="What the provider must meet: licensed, insured.", metavar="TEXT")
]
Location = Annotated[str | None, typer.Option("--location", help="Where the job is: Greenville SC.", metavar="TEXT")]
Urgency = Annotated[
    str | None,
    typer.Option("--urgency", help="How soon: within_24_hours, next week. (default within_2_days)", metavar="TEXT"),
]
Problem = Annotated[str | None, typer.Option("--problem", help="What is wrong, in a sentence.", metavar="TEXT")]
ClientName = Annotated[
    str | None, typer.Option("--client-name", help="In whose name the assistant calls.", metavar="TEXT")
]
RequestFile = Annotated[
    str | None,
    typer.Option("--request", help="The service request from a TOML or JSON file; typed options win.", metavar="FILE"),
]

# Those with a setting of their own are taken as text: settings check them, and say in one way what is wrong.
MaxConcurrent = Annotated[str | None, typer.Option("--max-concurrent", help=of_setting("max_concurrent"), metavar="N")]
StartInterval = Annotated[str | None, typer.Option("--start-interval", help=of_setting("start_interval"), metavar="S")]
CallTimeout = Annotated[str | None, typer.Option("--call-timeout", help=of_setting("call_timeout"), metavar="S")]
AnalysisTimeout = Annotated[
    str | None, typer.Option("--analysis-timeout", help=of_setting("analysis_timeout"), metavar="S")
]
Via = Annotated[
    str | None,
    typer.Option("--via", help=of_setting("via"), metavar="ROUTE", autocompletion=lambda: ["auto", "direct", "kestra"]),
]
Region = Annotated[str | None, typer.Option("--region", help=of_setting("region"), metavar="COUNTRY")]
Record = Annotated[bool | None, typer.Option("--record/--no-record", help=of_setting("record"))]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help="Names a column that was not recognised; repeatable.", metavar="FIELD=COLUMN"),
]
Simulate = Annotated[
    bool, typer.Option("--simulate", help="Call a simulator instead: no phone rings, no key is needed.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show who would be called, who not and why, and stop.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before dialling.")]
AllowRedial = Annotated[
    bool,
    typer.Option(
        "--allow-redial",
        help="Also call numbers that another run called in the last 12 hours. (hours: env CONCIERGE_REDIAL_AFTER)",
    ),
]
HangUp = Annotated[bool, typer.Option("--hang-up", help="The first Ctrl-C also ends the calls on the line.")]
RedialUncertain = Annotated[
    list[str] | None,
    typer.Option(
        "--redial-uncertain",
        help="Dial this number although it may have rung already; repeatable. Vapi is asked for the call first.",
        metavar="PHONE",
    ),
]

OutputFile = Annotated[
    str | None, typer.Option("--output", "-o", help="Where the document goes; - is stdout.", metavar="FILE")
]
Format = Annotated[
    Literal["json", "jsonl", "csv"],
    typer.Option(
        "--format",
        help="json: the document; jsonl: a result a line; csv: for a spreadsheet. (default json)",
        metavar="FORMAT",
        show_default=False,
    ),
]
OtherFormat = Annotated[
    Literal["json", "jsonl", "csv"] | None,
    typer.Option("--format", help="json, jsonl or csv; without it as the run was told.", metavar="FORMAT"),
]
ShownFormat = Annotated[
    Literal["json", "jsonl", "csv", "html"] | None,
    typer.Option("--format", help="json, jsonl, csv, or html: a page to look at, to mail or keep.", metavar="FORMAT"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless something is wrong.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say every event; with --dry-run also all that the assistant is told.")
]
EveryEvent = Annotated[bool, typer.Option("--verbose", "-v", help="Say every event.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RunToForget = Annotated[
    str | None,
    typer.Argument(help="The run's id, from: concierge-calls runs.", metavar="RUN", autocompletion=every_run),
]
OlderThan = Annotated[
    str | None,
    typer.Option("--older-than", help="Every run that ended so long ago: 90d, 12w, 36h.", metavar="AGE"),
]
AddNumbers = Annotated[
    list[str] | None, typer.Option("--add", help="Never call this number again; repeatable.", metavar="PHONE")
]
ImportNumbers = Annotated[
    str | None,
    typer.Option(
        "--import",
        help="Add every number of a file: a table or JSON with a column phone, or a number a line; - is stdin.",
        metavar="FILE",
    ),
]
RemoveNumbers = Annotated[
    list[str] | None,
    typer.Option("--remove", help="Let this number be called again; repeatable. Asks.", metavar="PHONE"),
]
OnlySimulated = Annotated[bool, typer.Option("--simulate", help="Only simulated runs.")]
