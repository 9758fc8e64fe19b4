#!/bin/sh
# Choose a Python that has a tested set of requirements, and make an environment of it.
#
#   requirements/python.sh list                  print "3.N PATH" of each supported one, newest first
#   requirements/python.sh venv FOLDER [PYTHON]  make FOLDER an environment of PYTHON or of the newest;
#                                                one that is there is kept
#
# Every python of the PATH and of PYTHON_FOLDERS is run before it counts: a name may be an empty shim.
set -u
# Newest first.
supported=$(printf '%s\n' "${0%/*}"/constraints-3.*.txt | sed 's/.*constraints-//; s/.txt$//' |
    sort -t. -k2,2nr)
names=$(echo $supported | sed 's/ /, /g')
# pyenv puts the names of all its Pythons on the PATH and runs only those that are switched on.
: "${PYTHON_FOLDERS=${HOME:-}/.pyenv/versions/*/bin}"

fail() {
    printf '%s\n' "$@" >&2
    exit 2
}

# "3.12" of an interpreter that runs ("3.13t" without the GIL, "pypy3.10"), else nothing.
version_of() {
    "$1" -E -c 'import sys
name = sys.implementation.name.replace("cpython", "")
print(name + "%d.%d" % sys.version_info[:2] + getattr(sys, "abiflags", ""))' 2>/dev/null </dev/null
}

is_supported() {
    printf '%s\n' $supported | grep -qxF "$1"
}

makes_environments() {
    "$1" -E -c 'import ensurepip, venv' 2>/dev/null </dev/null
}

# Paths of the interpreters called NAME (which may be a pattern), in the order of the PATH.
called() {
    IFS=:
    for folder in $PATH $PYTHON_FOLDERS; do
        for python in "$folder"/$1; do
            [ -x "$python" ] && [ ! -d "$python" ] && printf '%s\n' "$python"
        done
    done
    unset IFS
}

# The first interpreter that is of this version and makes environments; nothing if there is none.
find_version() {
    for name in "python$1" python3 python; do
        found=$(called "$name" | while read -r python; do
            if [ "$(version_of "$python")" = "$1" ] && makes_environments "$python"; then
                printf '%s\n' "$python"
                break
            fi
        done)
        [ -z "$found" ] || break
    done
    printf '%s' "$found"
}

# What keeps an interpreter from being used; nothing if it can be.
objection() {
    version=$(version_of "$1")
    if [ -z "$version" ]; then
        echo "$1 does not run as Python 3"
    elif ! is_supported "$version"; then
        echo "$1 is Python $version"
    elif ! makes_environments "$1"; then
        echo "$1 has no venv (Debian, Ubuntu: apt install python$version-venv)"
    fi
}

# What was tried and in vain, a line each.
tried() {
    printf '%s\n' "$1" | while read -r python; do
        [ -z "$python" ] || echo "  tried: $(objection "$python")"
    done
}

list() {
    for version in $supported; do
        python=$(find_version "$version")
        [ -z "$python" ] || printf '%s %s\n' "$version" "$python"
    done
}

# Sets `python` to what the user named: a path, or a name of which the first that works counts.
choose_named() {
    case $1 in
        */*) all=$1 ;;
        *) all=$(called "$1") ;;
    esac
    python=$(printf '%s\n' "$all" | while read -r python; do
        [ -n "$(objection "$python")" ] || { printf '%s\n' "$python" && break; }
    done)
    [ -n "$python" ] || fail "PYTHON=$1 is no Python $names:" "$(tried "${all:-$1}")"
}

# Sets `python` to the newest one that is supported.
choose_newest() {
    for version in $supported; do
        python=$(find_version "$version")
        [ -z "$python" ] || return 0
    done
    all=$(for name in 'python3.[0-9]' 'python3.[0-9][0-9]' python3 python; do called "$name"; done)
    fail "Python $names is needed: install one, or say where: make PYTHON=/path/to/python" "$(tried "$all")"
}

# Keeps an environment that is there, whatever newer Python there is, but never mixes two.
environment() {
    folder=$1
    python=
    [ -z "$2" ] || choose_named "$2"
    if [ -e "$folder/bin/python" ] || [ -L "$folder/bin/python" ]; then
        there=$(version_of "$folder/bin/python")
        remedy="Remove it (rm -r $folder) or choose another folder (make VENV=...)."
        [ -n "$there" ] || fail "$folder/bin/python does not run any more. $remedy"
        is_supported "$there" || fail "$folder holds Python $there; supported: $names. $remedy"
        [ -z "$python" ] || [ "$(version_of "$python")" = "$there" ] ||
            fail "$folder holds Python $there, PYTHON=$2 is Python $(version_of "$python"). $remedy"
        "$folder/bin/python" -c 'import pip' 2>/dev/null || "$folder/bin/python" -m ensurepip
    else
        [ -n "$python" ] || choose_newest
        echo "$folder: a new environment of Python $(version_of "$python"), $python"
        "$python" -m venv "$folder"
    fi
}

case ${1-} in
    list) list ;;
    venv) environment "$2" "${3-}" ;;
    *) fail "usage: $0 list | venv FOLDER [PYTHON]" ;;
esac
