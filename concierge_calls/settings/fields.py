"""Every setting's variable, default and sentence, in plain Python, so that `--help` needs no pydantic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: where it is read from and what it means."""

    variable: str
    sentence: str
    default: object = None
    secret: bool = False
    option: str | None = None


SETTINGS: dict[str, Setting] = {
    "api_key": Setting("VAPI_API_KEY", "Vapi's private key, from its dashboard.", secret=True),
    "phone_number_id": Setting("VAPI_PHONE_NUMBER_ID", "The id of the Vapi phone number that calls."),
    "assistant_id": Setting(
        "VAPI_ASSISTANT_ID", "An assistant of your own at Vapi; without it the tool's own assistant is sent along."
    ),
    "base_url": Setting(
        "VAPI_BASE_URL",
        "Where Vapi is; https unless it is loopback, and never taken from .env.",
        "https://api.vapi.ai",
    ),
    "max_concurrent": Setting(
        "VAPI_MAX_CONCURRENT_CALLS", "Calls on the line at once, 1 or more.", 5, option="--max-concurrent"
    ),
    "start_interval": Setting(
        "VAPI_START_INTERVAL", "Least seconds between two dials.", 1.0, option="--start-interval"
    ),
    "call_timeout": Setting(
        "VAPI_CALL_TIMEOUT", "Each call's own limit in seconds, 10 to 43200.", 300, option="--call-timeout"
    ),
    "analysis_timeout": Setting(
        "VAPI_ANALYSIS_TIMEOUT",
        "Seconds to wait for the analysis of a call that has ended, off the line.",
        120.0,
        option="--analysis-timeout",
    ),
    "poll_interval": Setting("VAPI_POLL_INTERVAL", "Seconds between two looks at the calls on the line.", 1.0),
    "max_requests_per_minute": Setting(
        "VAPI_MAX_REQUESTS_PER_MINUTE", "Requests to Vapi in a minute at most; 0 is no limit.", 150
    ),
    "via": Setting("CONCIERGE_VIA", "Which way the calls go: auto, direct or kestra.", "auto", option="--via"),
    "region": Setting(
        "CONCIERGE_REGION",
        "How a number without a country code is read: a country such as US.",
        "US",
        option="--region",
    ),
    "record": Setting(
        "CONCIERGE_RECORD",
        "Let Vapi record the calls; the assistant's first sentence then says so.",
        False,
        option="--record",
    ),
    "redial_after": Setting(
        "CONCIERGE_REDIAL_AFTER", "Hours in which a number that another run called is not called again.", 12.0
    ),
    "state_dir": Setting(
        "CONCIERGE_STATE_DIR", "The folder of the journal; by default the platform's folder for a program's state."
    ),
    "api_token": Setting(
        "CONCIERGE_API_TOKEN",
        "What the HTTP service wants to be shown as a bearer token; needed to listen on more than this machine.",
        secret=True,
    ),
    "public_url": Setting(
        "CONCIERGE_PUBLIC_URL",
        "Where the HTTP service is reached from outside: Vapi is told to send its server messages there.",
    ),
    "webhook_secret": Setting(
        "VAPI_WEBHOOK_SECRET", "What Vapi shows with its server messages; without it none are taken.", secret=True
    ),
    "kestra_enabled": Setting("KESTRA_ENABLED", "Let auto take the way by Kestra where it is in good health.", False),
    "kestra_url": Setting(
        "KESTRA_URL",
        "Where Kestra is, such as https://kestra.example or http://kestra:8080; "
        "set in .env only together with the credentials that are sent there.",
    ),
    "kestra_username": Setting("KESTRA_USERNAME", "The user at Kestra, as a rule an e-mail address."),
    "kestra_password": Setting("KESTRA_PASSWORD", "That user's password.", secret=True),
    "kestra_api_token": Setting(
        "KESTRA_API_TOKEN", "A token instead of user and password, in Kestra's Enterprise edition.", secret=True
    ),
    "kestra_tenant": Setting("KESTRA_TENANT", "The tenant at Kestra; the open-source edition has main alone.", "main"),
    "kestra_namespace": Setting("KESTRA_NAMESPACE", "The namespace at Kestra that the flow is in.", "ai_concierge"),
    "kestra_flow": Setting(
        "KESTRA_FLOW",
        "Which flow calls: fan-out, a child for each provider, or one-task, for a server with one worker.",
        "fan-out",
    ),
    "kestra_runner": Setting(
        "KESTRA_RUNNER",
        "What a flow's children are: process, on the worker itself, or docker, a container each.",
        "process",
        option="--runner",
    ),
    "kestra_image": Setting(
        "KESTRA_IMAGE", "The image of a child's container, with concierge-calls in it.", option="--image"
    ),
    "kestra_memory": Setting(
        "KESTRA_MEMORY", "The most memory that a child's container may take, such as 512MB.", option="--memory"
    ),
    "kestra_cpus": Setting(
        "KESTRA_CPUS", "The most processors that a child's container may take, such as 0.5.", option="--cpus"
    ),
}
