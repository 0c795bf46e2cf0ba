// A row of the table of options: all that flags, help, manual page, shell completion, RAFTER_... variables and configuration files say of
// one option. An option that several verbs have is one row, so it is called the same, and takes the same values, in each of them.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rafter::apps {

enum class ValueKind {
    kFlag,    // there or not; true or false in a variable or a file
    kWhole,   // a whole number in OptionSpec::whole
    kNumber,  // a number in OptionSpec::number
    kBytes,   // a size: 512MB, 2GiB
    kText,    // any text, or one of OptionSpec::choices
    kFile,    // the path of a file
    kModel,   // the name or the path of a model
};

enum class ListKind {
    kNone,
    kPair,      // one value, or two with a comma between
    kCommas,    // several with commas between; where a verb takes only one, exactly one
    kRepeated,  // the option may stand several times
};

// What an option is about: a heading of the help text and a section of a configuration file.
struct Subject {
    std::string_view section;  // "": its keys stand before all sections
    std::string_view heading;
};

inline constexpr Subject kModelSubject{.section = "", .heading = "Options"};
inline constexpr Subject kPromptSubject{.section = "prompt", .heading = "Prompt"};
inline constexpr Subject kAnswerSubject{.section = "answer", .heading = "Answer"};
inline constexpr Subject kSamplingSubject{.section = "sampling", .heading = "Sampling (in this order)"};
inline constexpr Subject kSpeculationSubject{.section = "speculation", .heading = "Speculation (same text, fewer steps)"};
inline constexpr Subject kCacheSubject{.section = "cache", .heading = "Context and KV cache"};
inline constexpr Subject kMachineSubject{.section = "machine", .heading = "Machine"};
inline constexpr Subject kWorkloadSubject{.section = "workload", .heading = "Workload"};
inline constexpr Subject kOutputSubject{.section = "output", .heading = "Output"};

struct WholeRange {
    std::uint64_t least = 0;
    std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
};
struct NumberRange {
    double least = 0.0;
    double most = 1.0;
};

struct OptionSpec {
    std::string_view name;          // "top-p": the flag --top-p, the variable RAFTER_TOP_P and the key sampling.top_p
    std::string_view spelled = "";  // the flag's and the key's name, where another option has the same flag in other verbs
    std::string_view also = "";     // more spellings of the flag, with commas between: "-n", "--temp"
    std::string_view place = "";    // what it is called where it is given without a flag, by its place: "MODEL"
    bool has_flag = true;
    bool has_key = true;  // in a configuration file
    bool has_variable = true;
    Subject subject = kModelSubject;
    ValueKind kind = ValueKind::kFlag;
    ListKind list = ListKind::kNone;
    std::string_view value = "";  // what the help text calls its value: "N"
    WholeRange whole;             // of kWhole
    NumberRange number;           // of kNumber
    std::vector<std::string> choices;
    bool any_case = false;                // "q8_0" is the choice "Q8_0"
    std::string_view unset = "";          // a value that means none: --seed -1
    std::string_view implied = "";        // the value of the flag where none is given: --profile is --profile=table
    std::string_view default_value = "";  // as a flag would give it; "": see `otherwise`
    std::string_view otherwise = "";      // what happens without a value, in words
    std::string_view excludes = "";       // the name of an option that makes no sense beside this one
    std::string_view needs = "";          // and of one without which this one makes no sense
    std::string_view help = "";

    [[nodiscard]] std::string flag() const;  // "--top-p", or the place
    // All spellings of the flag: "-n", "--tokens".
    [[nodiscard]] std::vector<std::string> flags() const;
    [[nodiscard]] std::string variable() const;  // "RAFTER_TOP_P"; "" without one
    [[nodiscard]] std::string key() const;       // "sampling.top_p"; "" without one
    // "a number from 0 to 100"
    [[nodiscard]] std::string expected() const;
};

// All rows, by subject. Their names differ.
[[nodiscard]] std::span<const OptionSpec> option_table();
// The row must be there.
[[nodiscard]] const OptionSpec& option_named(std::string_view name);

// The parts of the table.
[[nodiscard]] std::vector<OptionSpec> prompt_options();  // model, prompt and answer
[[nodiscard]] std::vector<OptionSpec> sampling_options();
[[nodiscard]] std::vector<OptionSpec> speculation_options();
[[nodiscard]] std::vector<OptionSpec> cache_options();
[[nodiscard]] std::vector<OptionSpec> machine_options();
[[nodiscard]] std::vector<OptionSpec> workload_options();
[[nodiscard]] std::vector<OptionSpec> output_options();
[[nodiscard]] std::vector<OptionSpec> plan_options();
[[nodiscard]] std::vector<OptionSpec> tool_options();
[[nodiscard]] std::vector<OptionSpec> judging_options();  // what a model is compared with, and on what
[[nodiscard]] std::vector<OptionSpec> server_options();

}  // namespace rafter::apps
