// RFC 3339: https://www.rfc-editor.org/rfc/rfc3339; RFC 4122: https://www.rfc-editor.org/rfc/rfc4122
#include "grammar/string_formats.h"

#include <utility>

namespace rafter::grammar {
namespace {

#define RAFTER_DATE "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8])))"
#define RAFTER_TIME "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+\\-]([01]\\d|2[0-3]):[0-5]\\d))"
#define RAFTER_LABEL "[A-Za-z0-9]([A-Za-z0-9\\-]{0,30}[A-Za-z0-9])?"
#define RAFTER_OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define RAFTER_WORD "[A-Za-z0-9_+\\-]{1,30}"

constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"date", "^" RAFTER_DATE "$"},
    {"time", "^" RAFTER_TIME "$"},
    {"date-time", "^" RAFTER_DATE "T" RAFTER_TIME "$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"ipv4", "^" RAFTER_OCTET "(\\." RAFTER_OCTET "){3}$"},
    {"hostname", "^" RAFTER_LABEL "(\\." RAFTER_LABEL "){0,6}$"},
    {"email", "^" RAFTER_WORD "(\\." RAFTER_WORD "){0,3}@" RAFTER_LABEL "(\\." RAFTER_LABEL "){1,4}$"},
    {"uri", "^(https?|ftp)://" RAFTER_LABEL "(\\." RAFTER_LABEL
            "){0,6}(:\\d{1,4})?(/[A-Za-z0-9_.~\\-]{0,60}){0,20}(\\?[A-Za-z0-9_.~=&\\-]{0,200})?$"},
};

}  // namespace

std::optional<std::string_view> regex_of_format(std::string_view format) {
    for (const auto& [name, regex] : kFormats) {
        if (name == format) return regex;
    }
    return std::nullopt;
}

}  // namespace rafter::grammar
