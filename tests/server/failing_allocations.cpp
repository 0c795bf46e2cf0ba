// The operator new of this test program is that of the engine's tests.
#include "tests/engine/failing_allocations.cpp"  // NOLINT(bugprone-suspicious-include)
