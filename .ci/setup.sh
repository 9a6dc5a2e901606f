# Sourced by examples/run, tests/run, .ci/run and .ci/long: says what is being done, and installs what is missing.

say() { printf '\n==> %s\n' "$*"; }

# The compiler cache is used where it is installed, from any directory of this clone.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$PWD}" CCACHE_NOHASHDIR=1
export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -E "$@"
  else
    echo "This needs root, and there is no sudo here. As root, run:  $*" >&2
    return 1
  fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The newest Boost of this distribution from 1.81 on that has Boost.JSON: Debian 12's plain libboost-dev is 1.74.
boost_version() {
  local version
  for version in 1.81 1.83 1.88 1.90; do
    if installed "libboost-json$version-dev"; then
      echo "$version"
      return
    fi
  done
  for version in 1.81 1.83 1.88 1.90; do
    if [ -n "$(apt-cache policy "libboost-json$version-dev" 2>/dev/null | sed -n 's/^ *Candidate: \([^(]\)/\1/p')" ]; then
      echo "$version"
      return
    fi
  done
  echo 1.81
}

# need <package>...: installs those that are missing; `boost` stands for Boost's headers and Boost.JSON, `boost-x` for
# its library x. Where there is no apt, says
# what is needed and goes on: CMake finds out what is really there.
need() {
  local wanted=() missing=() package
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "There is no apt here. If a step below fails, install what it lacks by hand"
    cat <<'TEXT'
    a C++20 compiler (g++ 12 or newer, or clang 19), CMake 3.25 or newer, Ninja
    Boost 1.81 or newer: headers, Boost.JSON, Boost.URL       OpenSSL 3, zlib, SQLite 3.40 and hiredis, with headers
    for the tests: Catch2 2.13 or 3                   for the benchmarks: Google Benchmark
TEXT
    return 0
  fi
  for package in "$@"; do
    case $package in
      boost)
        # Without package lists nothing is known about the candidates yet.
        if ! [ -e /usr/include/boost/json.hpp ] && [ -z "$(apt-cache policy g++ 2>/dev/null)" ]; then apt_update || return 1; fi
        wanted+=("libboost$(boost_version)-dev" "libboost-json$(boost_version)-dev")
        ;;
      boost-*) wanted+=("libboost-${package#boost-}$(boost_version)-dev") ;;
      *) wanted+=("$package") ;;
    esac
  done
  for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
  if [ ${#missing[@]} = 0 ]; then return 0; fi

  say "Installing ${missing[*]}"
  if ! apt_install "${missing[@]}"; then
    # The lists are missing, or older than what the mirror still has.
    apt_update && apt_install "${missing[@]}" || {
      echo "Install these by hand, then start again:  apt-get install ${missing[*]}" >&2
      return 1
    }
  fi
}

apt_updated=no
apt_update() {
  if [ $apt_updated = yes ]; then return 0; fi
  apt_updated=yes
  say "Fetching the package lists"
  as_root apt-get update -q
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null
}

# configure <preset>: only where something changed since the last time. (Ninja itself sees changes of CMake's files, not of presets.)
configure() {
  if [ -f "build/$1/build.ninja" ] && [ "build/$1/build.ninja" -nt CMakePresets.json ]; then return 0; fi
  say "Configuring (preset $1)"
  cmake --preset "$1"
}
