#!/usr/bin/env bash
# tools/clean_root.sh - proves `make demo` or `make test` on a fresh minimal Debian 12: a debootstrap root and this checkout.
# usage (as root): tools/clean_root.sh DIR [demo|test|...]      DIR is created if it is empty, else used again.
# MIRROR names another Debian mirror. Proxy, pip and certificate settings of the caller are handed into the root.
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
root=${1:?usage: tools/clean_root.sh DIR [make target]}
target=${2:-demo}
mkdir -p "$root"
root=$(cd "$root" && pwd)
checkout=$root/srv/dvesp

timed() {
    local label=$1 start=$SECONDS
    shift
    "$@"
    echo "clean_root: $label took $((SECONDS - start)) s"
}

# Runs a command inside the root, in its own mount namespace so that nothing stays mounted.
inside() {
    unshare --mount --pid --fork --kill-child bash -c '
        set -eu
        root=$1; shift
        mount -t proc proc "$root/proc"
        mkdir -p "$root/dev/shm" "$root/dev/pts"
        mount -t tmpfs tmpfs "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
        exec chroot "$root" "$@"' inside "$root" env -i "${settings[@]}" "$@"
}

# What the machine needs to reach package registries: name resolution, proxies, pip's settings and its certificates.
collect_settings() {
    local name file
    settings=(HOME=/srv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}")
    for name in $(compgen -e | grep -E '^(PIP_|DVESP_|CARGO_)|^(http|https|ftp|no)_proxy$|^(HTTP|HTTPS|NO)_PROXY$' || true); do
        settings+=("$name=${!name}")
    done
    for file in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}"; do
        if [ -f "$file" ]; then
            cp "$file" "$root/srv/certificates.pem"
            settings+=(PIP_CERT=/srv/certificates.pem SSL_CERT_FILE=/srv/certificates.pem)
            break
        fi
    done
    if [ -f "$HOME/.cargo/config.toml" ]; then
        mkdir -p "$root/srv/.cargo"
        cp "$HOME/.cargo/config.toml" "$root/srv/.cargo/config.toml"
    fi
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf; do
        if [ -f "$file" ]; then cp -L "$file" "$root$file"; fi
    done
}

copy_checkout() {
    rm -rf "$checkout"
    mkdir -p "$checkout"
    tar -C "$source_dir" --exclude=./.git --exclude=./.venv --exclude=./build -cf - . | tar -C "$checkout" -xf -
}

bootstrap() {
    # shellcheck disable=SC2086  # an empty MIRROR is no argument
    debootstrap --variant=minbase bookworm "$root" ${MIRROR:-} > "$root.debootstrap.log"
}

if [ ! -x "$root/usr/bin/apt-get" ]; then timed debootstrap bootstrap; fi
collect_settings
timed "copying the checkout" copy_checkout
timed "apt-get install make" inside sh -c 'apt-get update -qq && apt-get install -y -qq make > /dev/null'
timed "make $target" inside make -C /srv/dvesp "$target"
timed "make $target again" inside make -C /srv/dvesp "$target"
