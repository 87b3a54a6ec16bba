#!/bin/sh
# Brings the pages into Grafana by its HTTP API. What is there already becomes the version that is here; needs curl.
#
#   GRAFANA_URL=https://grafana.example.com GRAFANA_TOKEN=glsa_... examples/grafana/import.sh [PAGE.json ...]
#
# Without arguments all pages of dashboards/json. The token is of a service account that may create folders and write
# pages: the role Editor. The folder is GRAFANA_FOLDER, an id of letters, digits and dashes (unitcost).
# Exit 0: all pages are there. 1: Grafana took one not, and why is on standard error. 2: a variable is missing.
set -eu

folder=${GRAFANA_FOLDER:-unitcost}
if [ -z "${GRAFANA_URL:-}" ] || [ -z "${GRAFANA_TOKEN:-}" ]; then
    echo "usage: GRAFANA_URL=https://... GRAFANA_TOKEN=... $0 [PAGE.json ...]" >&2
    exit 2
fi
[ $# -gt 0 ] || set -- "$(dirname "$0")"/../../dashboards/json/*.json

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# ask METHOD PATH [BODY]: send a file to Grafana, leave its answer in $work/answer, print the status. The token goes in by
# a pipe: arguments of a program can be read by everybody on the machine.
ask() {
    printf 'Authorization: Bearer %s\n' "$GRAFANA_TOKEN" |
        curl --silent --show-error --max-time 60 --request "$1" --header @- --header 'Content-Type: application/json' \
            ${3:+--data-binary "@$3"} --output "$work/answer" --write-out '%{http_code}' "${GRAFANA_URL%/}$2"
}

# refused WHAT STATUS: say what Grafana did not take, and its own words.
refused() {
    printf '%s: HTTP %s: %s\n' "$1" "$2" "$(cat "$work/answer" 2>/dev/null)" >&2
    rm -f "$work/answer"
}

status=$(ask GET "/api/folders/$folder") || exit 1
if [ "$status" = 404 ]; then
    printf '{"uid": "%s", "title": "%s"}' "$folder" "$folder" >"$work/body"
    status=$(ask POST /api/folders "$work/body") || exit 1
fi
if [ "$status" != 200 ]; then
    refused "folder $folder" "$status"
    exit 1
fi

code=0
for page in "$@"; do
    {
        printf '{"folderUid": "%s", "overwrite": true, "dashboard": ' "$folder"
        cat "$page"
        printf '}'
    } >"$work/body"
    status=$(ask POST /api/dashboards/db "$work/body") || exit 1
    if [ "$status" = 200 ]; then
        printf '%s%s\n' "${GRAFANA_URL%/}" "$(sed -n 's/.*"url" *: *"\([^"]*\)".*/\1/p' "$work/answer")"
    else
        refused "$page" "$status"
        code=1
    fi
done
exit $code
