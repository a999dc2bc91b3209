#!/bin/bash
# Runs a worker in HTCondor's scratch folder, which HTCondor deletes afterwards.
set -u
if [ -z "${TEXLOOM_COORDINATOR:-}" ]; then
    # Other accounts of the machine must not read it. They may read command lines.
    chmod 600 join.*
    set -- --join "@$(echo join.*)"
fi
# The feature weights of the whole machine, if somebody has installed them; otherwise those of the account's cache.
installed=/usr/share/texloom/weights
if [ -z "${TEXLOOM_WEIGHTS_DIR:-}" ] && compgen -G "$installed/*.safetensors" >/dev/null; then
    export TEXLOOM_WEIGHTS_DIR=$installed
fi
texloom worker "$@" --data "$PWD/worker" --idle-exit 5m &
worker=$!
trap 'kill -TERM "$worker"' TERM
while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done
wait "$worker"
status=$?
# 85: stopped as asked. No failure to HTCondor.
[ "$status" -eq 85 ] && status=0
exit "$status"
