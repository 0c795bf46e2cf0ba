// A memory that fails at a chosen allocation, for all of this test program.
#pragma once

#include <functional>

namespace rafter::kv::tests {

// False where the work was ended by the allocation that fails, the one after the first n.
bool with_failing_allocation(int n, const std::function<void()>& work);

}  // namespace rafter::kv::tests
