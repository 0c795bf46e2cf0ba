// What the classes of charts look like, in light, dark and print: <style> content for a page or for a picture that stands alone.
#pragma once

#include <string>

namespace rafter::report {

[[nodiscard]] std::string plot_style();

}  // namespace rafter::report
