#!/usr/bin/env bash
# Train on several ranks of one or more machines; without a GPU the ranks talk over gloo.
set -euo pipefail
. "$(dirname "$0")/launch_ranks.sh"

if [ $# -lt 2 ]; then
    echo "Usage: $0 CONFIG RANKS_PER_NODE [arguments of train.py]" >&2
    echo "$LAUNCH_USAGE, MAX_RESTARTS (0)" >&2
    exit 2
fi
CONFIG=$1
RANKS=$2
shift 2
launch_ranks "$RANKS" "${MAX_RESTARTS:-0}" train.py "$CONFIG" "$@"
