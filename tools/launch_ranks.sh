# Sourced by dist_train.sh and dist_test.sh: start this machine's ranks, and end when all have ended.

LAUNCH_USAGE="Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500),
    JOIN_TIMEOUT (300 seconds), LOCAL_ADDR (the name of this machine)"

# launch_ranks RANKS MAX_RESTARTS TOOL [arguments of it]
launch_ranks() {
    local ranks=$1 restarts=$2 tools tool=$3
    shift 3
    local node=${NODE_RANK:-0} first=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500} address
    address=${LOCAL_ADDR:-$([ "$node" != 0 ] || echo "$first")}
    export JOIN_TIMEOUT=${JOIN_TIMEOUT:-300}

    tools="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
    export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
    # Ranks that start again must not meet in the store of the start before, where they would read
    # its addresses and wait for each other (PyTorch issue 135712).
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    # torchrun, by its module: the one that belongs to this python.
    exec "${PYTHON:-python}" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --nproc_per_node="$ranks" \
        --max_restarts="$restarts" \
        --rdzv_backend=c10d \
        --rdzv_id="$port" \
        --rdzv_endpoint="$first:$port" \
        --rdzv_conf="is_host=$((node == 0)),join_timeout=$JOIN_TIMEOUT,read_timeout=$JOIN_TIMEOUT" \
        --local_addr="$address" \
        "$tools/$tool" "$@" --launcher pytorch
}
