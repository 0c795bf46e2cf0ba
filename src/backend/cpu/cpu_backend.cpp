// The CPU backend itself: it says what it is and loads models.
#include "backend/cpu/cpu_backend.h"

#include <utility>

#include "backend/cpu/cpu_model.h"
#include "base/check.h"

namespace rafter::backend::cpu {
namespace {

class CpuBackend final : public Backend {
  public:
    CpuBackend(ThreadPool& pool, Isa isa) : pool_(pool), isa_(isa) {}

    [[nodiscard]] std::string description() const override {
        return fmt::format("CPU, {}, {} thread{}", to_string(isa_), pool_.n_threads(), pool_.n_threads() == 1 ? "" : "s");
    }
    [[nodiscard]] Result<std::unique_ptr<DeviceModel>> load(model::Program program, const files::GgufFile& file,
                                                            const LoadOptions& options) override {
        return CpuModel::load(std::move(program), file, options, pool_, isa_);
    }

  private:
    ThreadPool& pool_;
    Isa isa_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(ThreadPool& pool, Isa isa) {
    RAFTER_CHECK(is_available(isa), "{}", to_string(isa));
    return std::make_unique<CpuBackend>(pool, isa);
}

}  // namespace rafter::backend::cpu
