// refused: conversion from .double. to|no viable conversion from .double.
// Binary fractions are not money.
#include <outlay/usd.hpp>

using namespace outlay::literals;

#ifdef MUST_FAIL
outlay::Usd amount = 0.01;
#else
outlay::Usd amount = 0.01_usd;
#endif
