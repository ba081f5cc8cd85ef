#!/bin/sh
# What the command is compared with in a shell: xargs, as many at once as there are lines, and curl for each question.
# Started by calls.py: sh peer.sh PROVIDERS LINES POLL OUTPUT
set -eu
export POLL="$3" OUTPUT="$4"

# A line of xargs is taken until the analysis is there, too, since nobody else would wait for it.
export ONE='
IFS=, read -r name phone service <<ROW
$1
ROW
asked=$(printf "{\"name\":\"%s\",\"phoneNumberId\":\"%s\",\"assistantId\":\"%s\",\"customer\":{\"number\":\"%s\",\"name\":\"%s\"},\"assistantOverrides\":{\"variableValues\":{\"provider_name\":\"%s\",\"service_needed\":\"%s\"}}}" \
    "$name" "$VAPI_PHONE_NUMBER_ID" "$VAPI_ASSISTANT_ID" "$phone" "$name" "$name" "$service")
send() { curl -sS -H "Authorization: Bearer $VAPI_API_KEY" -H "Content-Type: application/json" "$@"; }
known=$(send -d "$asked" "$VAPI_BASE_URL/call")
id=${known#*\"id\":\"}
id=${id%%\"*}
while :; do
    case $known in *\"analysis\":*) break ;; esac
    sleep "$POLL"
    known=$(send "$VAPI_BASE_URL/call/$id")
done
printf "%s\n" "$known" >>"$OUTPUT"
'
: >"$OUTPUT"
tail -n +2 "$1" | tr -d '\r' | xargs -P "$2" -d '\n' -n 1 sh -c 'eval "$ONE"' sh
