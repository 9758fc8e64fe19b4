#!/usr/bin/env bash
# Train on several ranks of one or more machines; without a GPU the ranks talk over gloo.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "Usage: $0 CONFIG RANKS_PER_NODE [arguments of train.py]" >&2
    echo "Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500)" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
shift 2

TOOLS="$(cd "$(dirname "$0")" && pwd)"
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
# torchrun, by its module: the one that belongs to this python.
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "$@"
