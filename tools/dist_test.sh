#!/usr/bin/env bash
# Test on several ranks of one or more machines; without a GPU the ranks talk over gloo.
set -euo pipefail
. "$(dirname "$0")/launch_ranks.sh"

if [ $# -lt 3 ]; then
    echo "Usage: $0 CONFIG CHECKPOINT RANKS_PER_NODE [arguments of test.py]" >&2
    echo "$LAUNCH_USAGE" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
RANKS=$3
shift 3
launch_ranks "$RANKS" 0 test.py "$CONFIG" "$CHECKPOINT" "$@"
