# Sourced by the scripts beside it: installing what is missing, and saying what happens. Debian 12's package names.

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# need_packages NAME...: installs those Debian packages that are not there yet; says nothing and asks for nothing when all are.
need_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "This is not a Debian system: what is needed is, by Debian's names, $*"
        return 0
    fi
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "Missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing with apt: ${missing[*]}"
    local log
    log=$(mktemp)
    if ! "${as_root[@]}" apt-get -o Acquire::Retries=3 -qq update >"$log" 2>&1 ||
        ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -qq -y --no-install-recommends install "${missing[@]}" \
            >>"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt could not install: ${missing[*]}"
    fi
    rm -f "$log"
}

# The python3 that has pip: the first on PATH that does, for PATH may hold several.
python_with_pip() {
    local python
    while read -r python; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return 0
        fi
    done < <(type -ap python3)
    return 1
}

# As many compile jobs as there are processors, and 2 GiB of memory for each.
build_jobs() {
    local processors memory_gib
    processors=$(nproc)
    memory_gib=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
    [ "${memory_gib:-1}" -ge 1 ] || memory_gib=1
    [ "$memory_gib" -lt "$processors" ] && printf '%s\n' "$memory_gib" || printf '%s\n' "$processors"
}

# packages the program itself is built from, and what fetches a model
readonly kBuildPackages=(cmake ninja-build g++ pkg-config libfmt-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev libxxhash-dev libedit-dev libtomlplusplus-dev libcurl4-openssl-dev libssl-dev libboost1.81-dev prometheus-cpp-dev python3 python3-pip)
# and what only the tests need
readonly kTestPackages=(libgtest-dev chromium python3-venv clang-16 lld-16 libclang-rt-16-dev clang-format clang-tidy prometheus curl openssl)
