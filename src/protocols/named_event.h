// An event of a stream that has names for its events.
#pragma once

#include <string>

namespace rafter::protocols {

struct NamedEvent {
    std::string event;  // its name; "": none
    std::string data;   // without line ends
};

}  // namespace rafter::protocols
