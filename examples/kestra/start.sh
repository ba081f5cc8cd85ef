#!/usr/bin/env bash
# Has the providers in providers.jsonl called by a flow that is on a Kestra server, and prints the execution's id.
#
#   concierge-calls kestra deploy --max-concurrent 3
#   KESTRA_URL=http://localhost:8082 KESTRA_USERNAME=you@example.com KESTRA_PASSWORD=... examples/kestra/start.sh
#
# Kestra takes inputs as multipart/form-data, one part for each, and no JSON body; max_concurrent is the number that
# the flow was deployed for, or left out. Send this once: Kestra has no way to tell a second one from a repeated one.
# If the reply is lost, look for the label before anything is sent again:
#   GET /api/v1/main/executions/search?filters[labels][EQUALS][run]=RUN   (up to 0.22: /api/v1/...?labels=run:RUN)
# concierge-calls batch --via kestra does all of this, and brings the results home.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

url=${KESTRA_URL:-http://localhost:8082}
flow=${KESTRA_NAMESPACE:-ai_concierge}/contact_providers_concurrent
run=$(date -u +%Y%m%d-%H%M%S)-$$

# The password goes by a file that is none, since everybody on this machine can read a command's arguments.
ask() {
    local user=''
    if [ -n "${KESTRA_USERNAME:-}" ]; then
        user="user = \"$(printf '%s:%s' "$KESTRA_USERNAME" "$KESTRA_PASSWORD" | sed 's/[\\"]/\\&/g')\""
    fi
    curl --fail-with-body --silent --show-error --max-time 60 --config <(printf '%s\n' "$user") "$@"
}

version=$(ask "$url/api/v1/configs" | sed -n 's/.*"version" *: *"\([0-9]*\.[0-9]*\).*/\1/p')
case $version in
    0.18 | 0.19 | 0.20 | 0.21 | 0.22) root=$url/api/v1 ;;
    [012].*) root=$url/api/v1/main ;;
    *) echo "start.sh: Kestra ${version:-of no version} at $url is not known here: nobody is called." >&2 && exit 2 ;;
esac
case $version in
    2.*) providers='providers=@providers.jsonl' ;;                 # a file with a provider on each line
    *) providers="providers=[$(paste -s -d , providers.jsonl)]" ;; # a list
esac

ask --request POST "$root/executions/$flow?labels=run:$run" \
    --form "$providers" \
    --form-string 'service_needed=plumbing' \
    --form-string 'user_criteria=licensed, available tomorrow' \
    --form-string 'location=Greenville SC' \
    --form-string 'urgency=within_24_hours' \
    --form-string 'max_concurrent=3' \
    --form-string "run_id=$run" |
    sed -n 's/^{[^{]*"id" *: *"\([^"]*\)".*/\1/p'
