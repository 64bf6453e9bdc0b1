#!/usr/bin/env bash
# programs/dvesp_root/build.sh - compiles and links the Solana program; the same source gives the same bytes everywhere.
# usage: programs/dvesp_root/build.sh [OUT]      default: programs/dvesp_root/dvesp_root.so, which is committed
# Needs clang-19 (tools/debian-packages.txt): other versions arrange the code in other ways.
set -eu
cd "$(dirname "$0")"
out=${1:-dvesp_root.so}
object=$(mktemp)
trap 'rm -f "$object"' EXIT
clang-19 -target bpfel -mcpu=v2 -O2 -std=c11 -fno-builtin -fno-strict-aliasing -fno-jump-tables -fno-ident \
    -Wall -Wextra -Werror -mllvm -bpf-stack-size=4096 -c dvesp_root.c -o "$object"
python3 link.py "$object" "$out"
