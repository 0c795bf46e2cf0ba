// The table of backends.
#include "backend/backends.h"

#include <fmt/ranges.h>

#include "backend/cpu/cpu_backend.h"
#include "base/quote.h"

namespace rafter::backend {

std::vector<std::string_view> backend_names() { return {"cpu"}; }

Result<std::unique_ptr<Backend>> make_backend(std::string_view name, ThreadPool& pool, std::string_view instruction_set) {
    if (name != "cpu") {
        return Error{fmt::format("backend: expected one of {}, found {}", fmt::join(backend_names(), ", "), quote(name)),
                     ErrorKind::kUsage};
    }
    RAFTER_TRY(const std::string_view isa, find_instruction_set(instruction_set));
    return cpu::make_cpu_backend(pool, *cpu::isa_from_name(isa));
}

std::vector<std::string_view> instruction_sets() {
    std::vector<std::string_view> names;
    for (const cpu::IsaName& row : cpu::kIsaNames) names.push_back(row.name);
    return names;
}

std::string_view best_instruction_set() { return to_string(cpu::best_isa()); }

Result<std::string_view> find_instruction_set(std::string_view name) {
    if (name.empty()) return best_instruction_set();
    const auto isa = cpu::isa_from_name(name);
    if (!isa) {
        return bad_input("instruction set: expected one of {}, found {}", fmt::join(instruction_sets(), ", "), quote(std::string(name)));
    }
    if (!cpu::is_available(*isa)) {
        std::vector<std::string_view> here;
        for (const cpu::Isa available : cpu::available_isas()) here.push_back(to_string(available));
        return bad_input("instruction set {}: this machine has only {}", name, fmt::join(here, ", "));
    }
    return to_string(*isa);
}

}  // namespace rafter::backend
