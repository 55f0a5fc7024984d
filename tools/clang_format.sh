#!/bin/sh
# Checks (--check) or rewrites (--fix) the formatting of all C that is not a Jinja template.
set -eu
files=$(git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.cc' ':!tests/golden')
[ -n "$files" ] || exit 0
case "${1:---check}" in
    --check) # shellcheck disable=SC2086
        clang-format --dry-run --Werror $files ;;
    --fix) # shellcheck disable=SC2086
        clang-format -i $files ;;
esac
