# CMake's own module, with the name that CMake 4.3 gave its target: the older SQLite::SQLite3 is deprecated from there on.

include("${CMAKE_ROOT}/Modules/FindSQLite3.cmake")
if(TARGET SQLite::SQLite3 AND NOT TARGET SQLite3::SQLite3)
  add_library(SQLite3::SQLite3 ALIAS SQLite::SQLite3)
endif()
