# An overlay port: vcpkg install outlay[sqlite] --overlay-ports=<this tree>/src/packaging/vcpkg
#
# It builds the tree that it is in, so it has neither an address nor a checksum.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
  FEATURES
    json OUTLAY_WITH_JSON
    curl OUTLAY_WITH_CURL
    httplib OUTLAY_WITH_HTTPLIB
    asio OUTLAY_WITH_ASIO
    http OUTLAY_WITH_HTTP
    gateway OUTLAY_WITH_GATEWAY
    otel OUTLAY_WITH_OTEL
    sqlite OUTLAY_WITH_SQLITE
    redis OUTLAY_WITH_REDIS
    spdlog OUTLAY_WITH_SPDLOG
    testing OUTLAY_WITH_TESTING)

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS ${FEATURE_OPTIONS} -DOUTLAY_WITH_CLI=OFF -DOUTLAY_BUILD_TESTS=OFF -DOUTLAY_BUILD_EXAMPLES=OFF -DOUTLAY_BUILD_BENCH=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/outlay)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
