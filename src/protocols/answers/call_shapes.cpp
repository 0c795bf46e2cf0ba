// Sources of the notations: the chat templates of the models and the pages of their makers.
// https://www.llama.com/docs/model-cards-and-prompt-formats/llama3_1/ and .../qwen.readthedocs.io/en/latest/framework/function_call.html
// https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices and https://api-docs.deepseek.com/guides/function_calling
#include "protocols/answers/call_shapes.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace rafter::protocols {
namespace {

using ShapeKind = ShapePart::Kind;

constexpr ShapePart word(std::string_view text) { return {.kind = ShapeKind::kText, .text = text}; }
constexpr ShapePart kSpacePart{.kind = ShapeKind::kSpace};
constexpr ShapePart kNamePart{.kind = ShapeKind::kName};
constexpr ShapePart kIdPart{.kind = ShapeKind::kId};
constexpr ShapePart kCallsPart{.kind = ShapeKind::kCalls};
constexpr ShapePart kArgumentsPart{.kind = ShapeKind::kArguments};
constexpr ShapePart kParametersPart{.kind = ShapeKind::kParameters};

constexpr std::array kBare = {kCallsPart};
constexpr std::array kPythonTag = {word("<|python_tag|>"), kSpacePart, kCallsPart};
constexpr std::array kToolCall = {word("<tool_call>"), kSpacePart, kCallsPart};
constexpr std::array kToolCallXml = {word("<tool_call>"), kSpacePart, word("<function="), kNamePart, word(">"), kParametersPart};
constexpr std::array kXml = {word("<function="), kNamePart, word(">"), kParametersPart};
constexpr std::array kMistralCalls = {word("[TOOL_CALLS]"), kSpacePart, kCallsPart};
constexpr std::array kMistralName = {word("[TOOL_CALLS]"), kSpacePart, kNamePart, kSpacePart, kArgumentsPart};
constexpr std::array kMistralArgs = {word("[TOOL_CALLS]"), kSpacePart, kNamePart, word("[ARGS]"), kSpacePart, kArgumentsPart};
constexpr std::array kMistralId = {word("[TOOL_CALLS]"), kSpacePart, kNamePart,     word("[CALL_ID]"), kIdPart,
                                   word("[ARGS]"),       kSpacePart, kArgumentsPart};
constexpr std::array kFunctionGemmaCall = {word("<start_function_call>"), kSpacePart, word("call:"), kNamePart,
                                           ShapePart{.kind = ShapeKind::kQuoted, .text = "<escape>"}};
constexpr std::array kGemmaCall = {word("<|tool_call>"), kSpacePart, word("call:"), kNamePart,
                                   ShapePart{.kind = ShapeKind::kQuoted, .text = "<|\"|>"}};
constexpr std::string_view kDeepSeekAll = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kDeepSeekOne = "<｜tool▁call▁begin｜>";
constexpr std::string_view kDeepSeekName = "<｜tool▁sep｜>";
constexpr std::array kDeepSeekFirst = {word(kDeepSeekAll),  kSpacePart, word(kDeepSeekOne), kNamePart,
                                       word(kDeepSeekName), kSpacePart, kArgumentsPart};
constexpr std::array kDeepSeekNext = {word(kDeepSeekOne), kNamePart, word(kDeepSeekName), kSpacePart, kArgumentsPart};
constexpr std::array kDeepSeekFencedFirst = {word(kDeepSeekAll), kSpacePart, word(kDeepSeekOne), word("function"), word(kDeepSeekName),
                                             kNamePart,          kSpacePart, word("```json"),    kSpacePart,       kArgumentsPart};
constexpr std::array kDeepSeekFencedNext = {word(kDeepSeekOne), word("function"), word(kDeepSeekName), kNamePart,
                                            kSpacePart,         word("```json"),  kSpacePart,          kArgumentsPart};

constexpr std::array kJsonShapes = {CallShape{kBare}};
constexpr std::array kLlamaShapes = {CallShape{kBare}, CallShape{kPythonTag}};
constexpr std::array kToolCallShapes = {CallShape{kToolCall}, CallShape{kToolCallXml}, CallShape{kXml}};
constexpr std::array kMistralShapes = {CallShape{kMistralCalls}, CallShape{kMistralName}, CallShape{kMistralArgs}, CallShape{kMistralId}};
constexpr std::array kFunctionGemmaShapes = {CallShape{kFunctionGemmaCall}};
constexpr std::array kGemmaShapes = {CallShape{kGemmaCall}};
constexpr std::array kDeepSeekShapes = {CallShape{kDeepSeekFirst}, CallShape{kDeepSeekNext}, CallShape{kDeepSeekFencedFirst},
                                        CallShape{kDeepSeekFencedNext}};

constexpr std::array<std::string_view, 1> kLlamaTails = {";"};
constexpr std::array<std::string_view, 2> kToolCallTails = {"</tool_call>", "</function>"};
constexpr std::array<std::string_view, 1> kFunctionGemmaTails = {"<end_function_call>"};
constexpr std::array<std::string_view, 1> kGemmaTails = {"<tool_call|>"};
constexpr std::array<std::string_view, 3> kDeepSeekTails = {"```", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"};

constexpr std::array<std::string_view, 1> kLlamaMarks = {"<|python_tag|>"};
constexpr std::array<std::string_view, 2> kToolCallMarks = {"<tool_call>", "</tool_call>"};
constexpr std::array<std::string_view, 3> kMistralMarks = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
constexpr std::array<std::string_view, 3> kFunctionGemmaMarks = {"<start_function_call>", "<end_function_call>", "<escape>"};
constexpr std::array<std::string_view, 3> kGemmaMarks = {"<|tool_call>", "<tool_call|>", "<|\"|>"};
constexpr std::array<std::string_view, 5> kDeepSeekMarks = {kDeepSeekAll, kDeepSeekOne, kDeepSeekName, kDeepSeekTails[1],
                                                            kDeepSeekTails[2]};
constexpr std::array<std::string_view, 5> kHarmonyMarks = {"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|constrain|>"};

constexpr CallNotation kNotations[] = {
    {CallFamily::kNone, "none", {}, {}, {}},
    {CallFamily::kJson, "json", kJsonShapes, {}, {}},
    {CallFamily::kLlama, "llama", kLlamaShapes, kLlamaTails, kLlamaMarks},
    {CallFamily::kHermes, "hermes", kToolCallShapes, kToolCallTails, kToolCallMarks},
    {CallFamily::kQwenXml, "qwen3-coder", kToolCallShapes, kToolCallTails, kToolCallMarks},
    {CallFamily::kMistral, "mistral", kMistralShapes, {}, kMistralMarks},
    {CallFamily::kMistralNamed, "mistral-named", kMistralShapes, {}, kMistralMarks},
    {CallFamily::kFunctionGemma, "functiongemma", kFunctionGemmaShapes, kFunctionGemmaTails, kFunctionGemmaMarks},
    {CallFamily::kGemma, "gemma", kGemmaShapes, kGemmaTails, kGemmaMarks},
    {CallFamily::kDeepSeek, "deepseek", kDeepSeekShapes, kDeepSeekTails, kDeepSeekMarks},
    {CallFamily::kDeepSeekFenced, "deepseek-fenced", kDeepSeekShapes, kDeepSeekTails, kDeepSeekMarks},
    {CallFamily::kHarmony, "harmony", {}, {}, kHarmonyMarks},
};

}  // namespace

std::span<const CallNotation> call_notations() { return kNotations; }

const CallNotation& call_notation(CallFamily family) { return kNotations[static_cast<std::size_t>(family)]; }

std::optional<CallFamily> find_call_family(std::string_view name) {
    const auto* found = std::ranges::find(kNotations, name, &CallNotation::name);
    if (found == std::end(kNotations)) return std::nullopt;
    return found->family;
}

}  // namespace rafter::protocols
