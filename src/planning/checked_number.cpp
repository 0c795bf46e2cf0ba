// "--batch: expected a number from 1 to 1,000,000,000, found 0".
#include "planning/checked_number.h"

#include <cmath>

#include "report/units.h"

namespace rafter::planning {

std::string shown(double n) { return n >= 1000 && n == std::floor(n) ? report::whole(n) : report::plain(n); }

Result<double> in_range(const char* option, std::optional<double> value, double fallback, double low, double high) {
    if (!value) return fallback;
    if (!(*value >= low && *value <= high))
        return bad_input("{}: expected a number from {} to {}, found {}", option, shown(low), shown(high), shown(*value));
    return *value;
}

Result<double> whole_in_range(const char* option, std::optional<double> value, double fallback, double low, double high) {
    RAFTER_TRY(const double n, in_range(option, value, fallback, low, high));
    if (n != std::floor(n)) return bad_input("{}: expected a whole number, found {}", option, shown(n));
    return n;
}

}  // namespace rafter::planning
