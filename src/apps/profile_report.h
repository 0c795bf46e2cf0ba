// `--profile`: what each op should have taken and what it took, as a table for people, as JSON, or as a trace for chrome://tracing and
// ui.perfetto.dev.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/session.h"
#include "base/os_file.h"
#include "engine/measure/step_profile.h"
#include "report/style.h"

namespace rafter::apps {

struct ProfileReportOptions {
    std::string format;  // "": no profile; "table", "json", "trace"
    std::string file;    // where it goes; "": standard error, or rafter-trace.json
};

// --profile[=table|json|trace] and --profile-file.
void add_profile_options(OptionSet& options, ProfileReportOptions& profile);

// A profiler that is on when the options ask for one.
class RunProfile {
  public:
    // Opens the file for the report, so that one that cannot be written is an error before the run, and gets the machine's profile, where
    // it must be measured. The session's model must be loaded, and outlive this.
    [[nodiscard]] static Result<RunProfile> start(const ProfileReportOptions& options, const Environment& environment, Session& session,
                                                  std::string_view verb);
    // Null when off.
    [[nodiscard]] engine::StepProfiler* profiler() { return profiler_.get(); }
    // Writes the report. With in_json, that object gets it as "profile" instead (when the format is json).
    [[nodiscard]] Result<void> finish(nlohmann::ordered_json* in_json);

  private:
    ProfileReportOptions options_;
    std::optional<AtomicFile> file_;  // where the report goes; none: standard error
    report::Style style_;
    Session* session_ = nullptr;
    hardware::Profile machine_;
    roofline::PriceOptions price_;
    std::unique_ptr<engine::StepProfiler> profiler_;
};

}  // namespace rafter::apps
