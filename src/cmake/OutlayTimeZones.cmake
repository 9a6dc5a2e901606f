# Decides whose time zones core uses, since a window must be the same under every library: Howard Hinnant's date where it is found, else
# <chrono>'s where they agree with the C library. (libstdc++ 14 reads some zones of the tz database wrongly: 6 of 436 in 2026.) A build
# for another machine cannot run the question, and so needs date.
#
# Sets OUTLAY_USE_DATE. To try <chrono> where date is installed, too: -DCMAKE_DISABLE_FIND_PACKAGE_date=ON.

include_guard(GLOBAL)

# outlay_std_time_zones(<variable>): true where <chrono> has time zones and they agree.
function(outlay_std_time_zones result)
  if(NOT DEFINED OUTLAY_STD_TIME_ZONES)
    set(answer FALSE)
    if(NOT CMAKE_CROSSCOMPILING)
      try_run(agrees compiles SOURCES "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/time_zones.cpp" NO_CACHE
        CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON)
      if(compiles AND agrees STREQUAL "0")
        set(answer TRUE)
      endif()
    endif()
    set(OUTLAY_STD_TIME_ZONES ${answer} CACHE INTERNAL "<chrono>'s time zones agree with the C library's")
  endif()
  set(${result} ${OUTLAY_STD_TIME_ZONES} PARENT_SCOPE)
endfunction()

set(OUTLAY_USE_DATE TRUE)
outlay_find(date CONFIG)
if(NOT date_FOUND)
  outlay_std_time_zones(agrees)
  if(agrees)
    set(OUTLAY_USE_DATE FALSE)
  endif()
endif()
if(OUTLAY_USE_DATE)
  outlay_require("outlay::core" PACKAGE date ARGS CONFIG APT libhowardhinnant-date-dev
    HINT "The standard library of this compiler has no time zones, or not all of them right: Howard Hinnant's date library has them.")
endif()
