#!/usr/bin/env bash
# Calls every provider in a file, for cron, and prints nothing unless a person is needed: cron mails what is printed.
# Run it in a folder with the providers file and with .env, which holds the keys; a copied crontab line does both.
#
# Its arguments are further options of `concierge-calls batch`: ./nightly.sh --max-concurrent 3, or, to try it out,
# ./nightly.sh --simulate. It does not ask before it dials, not even on a terminal.
#
# It ends with the exit code of concierge-calls and says what to do for each but 0. A run that was cut short (5) it
# resumes by itself, once, since nobody is called twice by that, and says nothing if that finishes it. It does not
# resume what it was itself told to stop (Ctrl-C, a shutdown): to stop a run for good, signal this script, then
# concierge-calls. Only one such job writes into a RESULTS folder at a time.
set -euo pipefail
umask 077

PROVIDERS=${PROVIDERS:-providers.csv}   # whom to call
REQUEST=${REQUEST-request.toml}         # what to ask them; empty: columns of the file or options say it
RESULTS=${RESULTS:-results}             # the folder where each run leaves its document, named by date and time
CONCIERGE=${CONCIERGE:-concierge-calls} # the command, or the path to it

lock() { # open file 9 is also the command's, so the lock lasts as long as either of us; macOS has perl, but no flock
    if command -v flock >/dev/null; then
        flock -n 9
    else
        perl -MFcntl=:flock -e 'open(my $lock, ">&=", 9) or exit 2; exit !flock($lock, LOCK_EX | LOCK_NB)'
    fi
}

concierge() { # stdout gets the document only if its file cannot be written; the log then says how to have it again
    code=0
    "$CONCIERGE" "$@" --quiet >/dev/null 2>>"$log" || code=$?
}

for option; do
    case $option in
    -o | --output | --output=* | --format | --format=*)
        echo "Nobody was called: $0 names and reads each document itself, so leave $option out." && exit 2
        ;;
    esac
done

real_run() { # a simulated run cannot be resumed
    [ ! -f "$document" ] || sed -n '/"simulated": false/s/^"run": {"id": "\([^"]*\)".*/\1/p' "$document"
}

needs_a_look() { # names and reasons are other people's text: no control characters, no whole phone numbers in a mail
    [ -f "$document" ] && command -v jq >/dev/null && jq -r '
        def plain: gsub("\\p{C}+"; " ") | gsub("[+(]{0,2}[0-9]([ ().\\-/]{0,3}[0-9]){8,}"; "(number)");
        ["duplicate", "called_lately", "do_not_call"] as $on_purpose
        | .results[]
        | select((.status | IN("error", "timeout", "uncertain", "cancelled"))
            or (.status == "skipped" and (.error.code | IN($on_purpose[]) | not)))
        | (if .provider.phone then " (...\(.provider.phone[-4:]))" else "" end) as $digits
        | "- \(.provider.name | plain)\($digits), \(.status): \(.error.message // .endedReason // "" | plain)"
    ' "$document" 2>/dev/null
}

told=
trap 'told=yes' HUP INT TERM # the command hears them as well, and follows the calls on the line to their end
log=$(mktemp) || exit 2
trap 'rm -f -- "$log"' EXIT
mkdir -p -- "$RESULTS" || exit 2
RESULTS=$(CDPATH='' cd -- "$RESULTS" && pwd) || exit 2
: >>"$RESULTS/.lock" || exit 2
exec 9>>"$RESULTS/.lock"
if ! lock; then
    echo "Nobody was called by this job: an earlier one that writes into $RESULTS is still going on."
    echo "Wait for it, or look what holds it up: $CONCIERGE runs"
    exit 2
fi

document=$RESULTS/$(date +%Y-%m-%dT%H%M%S).json
concierge batch "$PROVIDERS" ${REQUEST:+--request "$REQUEST"} --output "$document" "$@"
run=$(real_run)
why=${told:+", since it was told to stop"}
if [ "$code" -eq 5 ] && [ -n "$run" ] && [ -z "$told" ]; then
    concierge resume "$run"
    why=", and resuming it once did not finish it"
    [ "$code" -ne 2 ] || code=5 # it could not begin, so the run is as unfinished as it was
fi
[ "$code" -ne 0 ] || exit 0

resume="cd $(printf %q "$PWD") && $CONCIERGE resume ${run:-RUN}"
case $code in
    1)
        echo "A bug ended the run. Please report it with the lines below."
        echo "Whom it had called is in the journal, see: $CONCIERGE runs. This calls the rest:"
        echo "$resume"
        ;;
    2)
        echo "Nobody was called: something is wrong with the command, the settings or a file, or Vapi is out of reach."
        echo "Mend what is said below, then start this job again, or leave it to its next time."
        ;;
    3)
        echo "Everybody was called, but the providers below need a look: a call that failed, ran into its time limit or"
        echo "was cut off, a phone that may have rung unheard (uncertain), or a row that could not be used (skipped)."
        echo "Read the document, correct such rows in $PROVIDERS, and call by hand whom you still need."
        if [ -n "$run" ] && [ -n "$(sed -n '/"status": "uncertain"/{p;q;}' "$document")" ]; then
            echo "Nobody uncertain is called again; this looks once more what became of such a call:"
            echo "$resume"
        fi
        ;;
    4)
        echo "Vapi refused the account, the key, the number, the assistant or the request; the rest was not called."
        if [ -n "$run" ]; then
            echo "Mend what is said below first: until then, resuming is refused as well. Then this calls the rest:"
            echo "$resume"
        else
            echo "Nobody was called, and there is no run to resume: mend what is said below, then start this job again."
        fi
        ;;
    5)
        echo "The run is unfinished$why. Calls on the line go on by themselves."
        echo "This finishes it, and calls nobody again:"
        echo "$resume"
        [ -n "$run" ] || echo "Which RUN it is: $CONCIERGE runs. A simulated one is not resumed; start it again."
        ;;
    *)
        echo "concierge-calls ended with $code, none of its exit codes: 127 means that $CONCIERGE was not found"
        echo "(set PATH or CONCIERGE in the crontab), above 128 that it was killed. If $CONCIERGE runs names a run"
        echo "that it left unfinished, this finishes it, and calls nobody again:"
        echo "$resume"
        ;;
esac
[ ! -f "$document" ] || echo "The document: $document"
echo
needy=
[ "$code" -ne 3 ] || needy=$(needs_a_look) || needy=
if [ -n "$needy" ]; then printf '%s\n' "$needy"; else cat -- "$log"; fi
exit "$code"
