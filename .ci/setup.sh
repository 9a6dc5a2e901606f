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

# Packages of Boost carry its version in their names, and those of two versions exclude each other. newest_boost: the newest version from
# 1.81 on among package names on stdin that look like <prefix>1.83-dev.
newest_boost() { # newest_boost <prefix>
  sed -nE "s/^$1([0-9]+\.[0-9]+)-dev$/\1/p" | sort -Vu | awk -F. '$1 > 1 || $2 >= 81' | tail -n 1
}

# The Boost whose packages are used: the one that is installed; else what this distribution's libboost-dev stands for; else the newest
# with Boost.JSON (libboost-dev of Debian 12 is 1.74).
boost_version() {
  local version
  version=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'libboost*-dev' 2>/dev/null | sed -n 's/^installed //p' | newest_boost libboost)
  if [ -z "$version" ]; then version=$(apt-cache depends libboost-dev 2>/dev/null | sed -n 's/^ *Depends: //p' | newest_boost libboost); fi
  if [ -z "$version" ]; then version=$(apt-cache pkgnames libboost-json 2>/dev/null | newest_boost libboost-json); fi
  echo "${version:-1.81}"
}

# A Boost that was installed by hand where CMake looks for it, from 1.81 on and with the libraries that are needed.
boost_by_hand() {
  local prefix config version
  local -a prefixes
  IFS=: read -ra prefixes <<<"${Boost_ROOT:-}:${CMAKE_PREFIX_PATH:-}:${OUTLAY_LOCAL_PREFIX:-/usr/local}"
  for prefix in "${prefixes[@]}"; do
    if [ -z "$prefix" ]; then continue; fi
    for config in "$prefix"/lib*/cmake/Boost-* "$prefix"/lib/*/cmake/Boost-*; do
      version=${config##*/Boost-}
      if [ -d "$config" ] && [ -d "${config%/*}/boost_json-$version" ] && [ -d "${config%/*}/boost_url-$version" ] &&
        [ -n "$(newest_boost x <<<"x${version%.*}-dev")" ]; then
        echo "$version in $prefix"
        return
      fi
    done
  done
  return 1
}

# need <package>...: installs those that are missing; `boost` stands for Boost's headers and Boost.JSON, `boost-x` for its library x.
# Where there is no apt, says what is needed and goes on: CMake finds out what is really there.
need() {
  local wanted=() missing=() package boost=
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "There is no apt here. If a step below fails, install what it lacks by hand"
    cat <<'TEXT'
    a C++20 compiler (g++ 12 or newer, or clang 19), CMake 3.25 or newer, Ninja
    Boost 1.81 or newer: headers, Boost.JSON, Boost.URL       OpenSSL 3, zlib, SQLite 3.40 and hiredis, with headers
    for the tests: Catch2 2.13 or 3                   for the benchmarks: Google Benchmark
TEXT
    return 0
  fi
  if [[ " $* " == *" boost "* ]] && ! boost=$(boost_by_hand); then
    boost=
    # Without package lists nothing is known about the candidates yet.
    if ! [ -e /usr/include/boost/json.hpp ] && [ -z "$(apt-cache policy g++ 2>/dev/null)" ]; then apt_update || return 1; fi
  fi
  for package in "$@"; do
    case $package in
      boost | boost-*) if [ -n "$boost" ]; then continue; fi ;;&
      boost) wanted+=("libboost$(boost_version)-dev" "libboost-json$(boost_version)-dev") ;;
      boost-*) wanted+=("libboost-${package#boost-}$(boost_version)-dev") ;;
      *) wanted+=("$package") ;;
    esac
  done
  if [ -n "$boost" ]; then say "Using Boost $boost"; fi
  for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
  if [ ${#missing[@]} = 0 ]; then return 0; fi

  say "Installing ${missing[*]}"
  if removes_nothing "${missing[@]}" && apt_install "${missing[@]}"; then return 0; fi
  # The lists are missing, or older than what the mirror still has.
  if removes_nothing "${missing[@]}" && apt_update && apt_install "${missing[@]}"; then return 0; fi
  local removed
  removed=$(would_remove "${missing[@]}")
  if [ -n "$removed" ]; then
    echo "To install ${missing[*]}, apt would remove$removed. Nothing is removed here without your word: if you can do without, install them" >&2
    echo "by hand and start again; for Boost you can also name one from 1.81 on that is installed elsewhere, with Boost_ROOT=<its prefix>." >&2
  else
    echo "Install these by hand, then start again:" >&2
  fi
  echo "    apt-get install ${missing[*]}" >&2
  return 1
}

# What apt would remove to install these, each behind a space.
would_remove() { apt-get -s install --no-install-recommends "$@" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/ \1/p' | tr -d '\n'; }
removes_nothing() { [ -z "$(would_remove "$@")" ]; }

apt_updated=no
apt_update() {
  if [ $apt_updated = yes ]; then return 0; fi
  apt_updated=yes
  say "Fetching the package lists"
  as_root apt-get update -q
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-remove --no-install-recommends "$@" </dev/null
}

# The mirror of Debian that apt uses here. Nothing on another distribution.
debian_mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian //p' | head -n 1
}

# configure <preset> [<option of cmake>...]: only where something changed since the last time. (Ninja itself sees changes of CMake's files, not of presets.)
configure() {
  if [ -f "build/$1/build.ninja" ] && [ "build/$1/build.ninja" -nt CMakePresets.json ]; then return 0; fi
  say "Configuring (preset $1)"
  cmake --preset "$@"
}

# What README.md tells a newcomer to run, a command a line; tests/run is among them.
newcomers_commands() {
  { tests/readme/check --commands; echo tests/run; } | awk '!seen[$0]++'
}
