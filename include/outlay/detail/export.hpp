#pragma once

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
