# How a component of the library is made. Nothing here sets anything global.

include_guard(GLOBAL)
include(CMakePackageConfigHelpers)

# outlay_find(<find_package arguments>...): quietly.
macro(outlay_find)
  # Global: under add_subdirectory the user's targets inherit these through ours.
  set(OUTLAY_FIND_GLOBAL ${CMAKE_FIND_PACKAGE_TARGETS_GLOBAL})
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
  find_package(${ARGV} QUIET)
  set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ${OUTLAY_FIND_GLOBAL})
endmacro()

# outlay_require(<who> PACKAGE <name> [ARGS <find_package arguments>...] APT <Debian packages>... [HINT <text>])
#
# Finds a package, or stops with the line that installs it. Nothing is ever downloaded.
macro(outlay_require who)
  cmake_parse_arguments(OUTLAY_REQ "" "PACKAGE;HINT" "ARGS;APT" ${ARGN})
  outlay_find(${OUTLAY_REQ_PACKAGE} ${OUTLAY_REQ_ARGS})
  if(NOT ${OUTLAY_REQ_PACKAGE}_FOUND)
    if(outlay_all)
      # What this directory has been configured with stays on in it.
      string(APPEND OUTLAY_REQ_HINT "\n  Or build what you use alone, in a new directory: cmake -B build/part -DOUTLAY_COMPONENTS=\"json;sqlite\"")
    endif()
    list(JOIN OUTLAY_REQ_ARGS " " OUTLAY_REQ_ARGS)
    list(JOIN OUTLAY_REQ_APT " " OUTLAY_REQ_APT)
    message(FATAL_ERROR
      "outlay: ${who} needs ${OUTLAY_REQ_PACKAGE} ${OUTLAY_REQ_ARGS}, which was not found.\n"
      "  On Debian 12:  apt-get install ${OUTLAY_REQ_APT}\n"
      "  ${OUTLAY_REQ_HINT}")
  endif()
endmacro()

# outlay_add_component(<name>
#   DESCRIPTION <text>
#   [SOURCES <file>...]            below src/<name>/; a component without is its headers
#   HEADERS <file>...              below include/outlay/
#   [COMPONENTS <name>...]         the components it rests on, publicly
#   [PUBLIC <target>...] [PRIVATE <target>...]
#   [FIND "<find_package arguments>"...]           packages that PUBLIC names, one string each
#   [FIND_PRIVATE "<find_package arguments>"...]   packages that PRIVATE names: consumers of a static build need them too
#   [PC_REQUIRES <module>...] [PC_LIBS <flag>...]  the same for pkg-config
#   [PC_REQUIRES_PRIVATE <module>...])
#
# Makes the library outlay_<name> (alias outlay::<name>), static or shared by BUILD_SHARED_LIBS, with its own export set, header
# file set and pkg-config file, all in the install component <name>; a shared library itself is in the install component <name>-runtime.
function(outlay_add_component name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESCRIPTION"
    "SOURCES;HEADERS;COMPONENTS;PUBLIC;PRIVATE;FIND;FIND_PRIVATE;PC_REQUIRES;PC_REQUIRES_PRIVATE;PC_LIBS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "outlay_add_component(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()

  set(target outlay_${name})
  set(include_dir "${PROJECT_SOURCE_DIR}/include")
  list(TRANSFORM arg_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/src/${name}/")
  list(TRANSFORM arg_HEADERS PREPEND "${include_dir}/outlay/")
  list(TRANSFORM arg_COMPONENTS PREPEND "outlay::" OUTPUT_VARIABLE component_targets)

  if(arg_SOURCES)
    add_library(${target} ${arg_SOURCES})
    target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${arg_HEADERS})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_compile_features(${target} PUBLIC cxx_std_20)
    # An archive may become a part of a shared library. Code for one is as fast as any where names that are exported cannot be replaced.
    target_compile_options(${target} PRIVATE ${OUTLAY_WARNINGS} $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
    target_link_libraries(${target} PUBLIC ${component_targets} ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  else()
    add_library(${target} INTERFACE)
    target_sources(${target} INTERFACE FILE_SET HEADERS BASE_DIRS "${include_dir}" FILES ${arg_HEADERS})
    target_compile_features(${target} INTERFACE cxx_std_20)
    target_link_libraries(${target} INTERFACE ${component_targets} ${arg_PUBLIC})
  endif()
  add_library(outlay::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    # What is exported is named by OUTLAY_EXPORT.
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    # A shared component finds those it rests on beside itself, wherever the prefix was moved to.
    INSTALL_RPATH "$ORIGIN"
    VERSION ${PROJECT_VERSION}
    # Before 1.0 a minor release may change the ABI, so the name that programs are bound to carries it.
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

  set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/outlay")
  install(TARGETS ${target} EXPORT ${target}-targets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${name}
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${name}-runtime NAMELINK_COMPONENT ${name}
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT ${name}-runtime
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT ${name})
  install(EXPORT ${target}-targets NAMESPACE outlay:: DESTINATION "${package_dir}" COMPONENT ${name})

  # What outlay-config.cmake reads when this component is asked for.
  get_target_property(type ${target} TYPE)
  set(find ${arg_FIND})
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND find ${arg_FIND_PRIVATE})
  endif()
  set(needs "set(_outlay_${name}_components ${arg_COMPONENTS})\nset(_outlay_${name}_packages)\n")
  foreach(package IN LISTS find)
    string(APPEND needs "list(APPEND _outlay_${name}_packages \"${package}\")\n")
  endforeach()
  file(WRITE "${PROJECT_BINARY_DIR}/package/${target}-needs.cmake" "${needs}")
  install(FILES "${PROJECT_BINARY_DIR}/package/${target}-needs.cmake" DESTINATION "${package_dir}" COMPONENT ${name})

  # pkg-config. An archive does not know what it was linked to, so there the private modules are public; a shared library knows, and its
  # users need not have what it was built with.
  set(pc_name "${target}")
  set(pc_description "${arg_DESCRIPTION}")
  list(TRANSFORM arg_COMPONENTS PREPEND "outlay_" OUTPUT_VARIABLE pc_requires)
  list(TRANSFORM pc_requires APPEND " = ${PROJECT_VERSION}")
  list(APPEND pc_requires ${arg_PC_REQUIRES})
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND pc_requires ${arg_PC_REQUIRES_PRIVATE})
  endif()
  list(JOIN pc_requires ", " pc_requires)
  if(arg_SOURCES)
    list(PREPEND arg_PC_LIBS "-L\${libdir}" "-l${pc_name}")
  endif()
  list(JOIN arg_PC_LIBS " " pc_libs)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
    set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
  else()
    file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  endif()
  if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
  else()
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/src/cmake/outlay.pc.in" "${PROJECT_BINARY_DIR}/package/${pc_name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/package/${pc_name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT ${name})

  set_property(GLOBAL APPEND PROPERTY OUTLAY_COMPONENTS ${name})
  set_property(GLOBAL PROPERTY OUTLAY_DESCRIPTION_${name} "${arg_DESCRIPTION}")
  set_property(GLOBAL PROPERTY OUTLAY_RESTS_ON_${name} ${arg_COMPONENTS})
endfunction()

# outlay_install_package(): the files that find_package(outlay) reads first.
function(outlay_install_package)
  set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/outlay")
  configure_package_config_file("${PROJECT_SOURCE_DIR}/src/cmake/outlay-config.cmake.in"
    "${PROJECT_BINARY_DIR}/package/outlay-config.cmake"
    INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/outlay-config-version.cmake"
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
  install(FILES "${PROJECT_BINARY_DIR}/package/outlay-config.cmake" "${PROJECT_BINARY_DIR}/package/outlay-config-version.cmake"
    "${PROJECT_SOURCE_DIR}/src/cmake/Findhiredis.cmake" "${PROJECT_SOURCE_DIR}/src/cmake/Findhttplib.cmake"
    "${PROJECT_SOURCE_DIR}/src/cmake/FindSQLite3.cmake"
    DESTINATION "${package_dir}" COMPONENT core)
endfunction()
