#pragma once

// Catch2 2.13 (Debian 12) and 3.x differ in where their headers are and in some names; tests include this one, and use the names of 3.x.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>  // IWYU pragma: export
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>  // IWYU pragma: export
#include <string>
inline auto ContainsSubstring(const std::string& part) { return Catch::Matchers::Contains(part); }
#endif
