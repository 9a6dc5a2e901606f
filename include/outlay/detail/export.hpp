#pragma once

// Here, since every header includes this one before it uses anything newer.
#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 202002L
#error "outlay needs C++20: compile with -std=c++20, or in CMake target_compile_features(<target> PRIVATE cxx_std_20)"
#endif

/// Marks what a component's shared library exports; everything else in it is hidden. Not for programs.
///
/// A class that is marked exports its members, and what makes catch and dynamic_cast find it from another library. So it is in a static
/// library, too, for programs that link it into shared libraries of their own.
#if defined(_MSC_VER)
// Functions need no dllimport, and no data is exported.
#define OUTLAY_EXPORT __declspec(dllexport)
#else
#define OUTLAY_EXPORT [[gnu::visibility("default")]]
#endif
