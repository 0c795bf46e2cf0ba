// Tools, messages and parts: the public header's to those of the layer that the server uses too, and back.
#include <fmt/format.h>
#include <deque>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json_reader.h"
#include "library/convert.h"
#include "protocols/openai_prompts.h"
#include "protocols/ordered_body.h"
#include "text/utf8_stream.h"

namespace rafter {

void Answer::add(std::span<const Part> parts) {
    for (const Part& part : parts) {
        switch (part.kind) {
            case PartKind::kReasoning:
                reasoning += part.text;
                break;
            case PartKind::kContent:
                content += part.text;
                break;
            case PartKind::kCallBegin:
                calls.push_back({.name = part.text, .arguments = {}});
                break;
            case PartKind::kArguments:
                if (!calls.empty()) calls.back().arguments += part.text;
                break;
            case PartKind::kCallEnd:
                break;
        }
    }
}

Update TokenStream::State::parted(engine::StreamUpdate update) {
    std::vector<Part> parts;
    if (parser) {
        parts = library::public_parts(parser->push(update.text));
        if (update.finish) {
            for (Part& part : library::public_parts(parser->finish())) parts.push_back(std::move(part));
            parser.reset();  // the finish comes again where it is asked for again
        }
    }
    Update result = library::public_update(std::move(update));
    result.parts = std::move(parts);
    return result;
}

}  // namespace rafter

namespace rafter::library {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// One list under two names.
static_assert(static_cast<int>(PartKind::kReasoning) == static_cast<int>(protocols::AnswerEvent::Kind::kReasoning));
static_assert(static_cast<int>(PartKind::kContent) == static_cast<int>(protocols::AnswerEvent::Kind::kContent));
static_assert(static_cast<int>(PartKind::kCallBegin) == static_cast<int>(protocols::AnswerEvent::Kind::kCallBegin));
static_assert(static_cast<int>(PartKind::kArguments) == static_cast<int>(protocols::AnswerEvent::Kind::kArguments));
static_assert(static_cast<int>(PartKind::kCallEnd) == static_cast<int>(protocols::AnswerEvent::Kind::kCallEnd));

protocols::FunctionTool function_tool(const Tool& tool, const std::string& where) {
    ordered_json ordered{{"name", text::valid_utf8(tool.name)}};
    if (!tool.description.empty()) ordered["description"] = text::valid_utf8(tool.description);
    if (!tool.parameters.empty())
        ordered["parameters"] = value_or_throw(protocols::ordered_object(tool.parameters, where + ": parameters"));
    const json function = ordered;
    const JsonReader reader = value_or_throw(JsonReader::open(function, where));
    return value_or_throw(protocols::read_function(reader, ordered));
}

std::vector<protocols::FunctionTool> function_tools(const std::vector<Tool>& tools) {
    if (tools.size() > protocols::kMaxTools)
        throw_error(bad_input("tools: expected at most {}, found {}", protocols::kMaxTools, tools.size()));
    std::vector<protocols::FunctionTool> functions;
    for (std::size_t i = 0; i < tools.size(); ++i) functions.push_back(function_tool(tools[i], fmt::format("tools[{}]", i)));
    or_throw(protocols::check_tool_names(functions, "tools"));
    return functions;
}

}  // namespace

protocols::ToolRequest tool_request(const Parting& parting) {
    protocols::ToolRequest request{.tools = function_tools(parting.tools), .named = parting.tool_name, .parallel = parting.parallel_calls};
    switch (parting.tool_choice) {
        case ToolChoice::kAuto:
            break;
        case ToolChoice::kNone:
            request.choice = protocols::ToolChoice::kNone;
            break;
        case ToolChoice::kRequired:
            request.choice = protocols::ToolChoice::kRequired;
            break;
        case ToolChoice::kNamed:
            request.choice = protocols::ToolChoice::kNamed;
            break;
    }
    or_throw(protocols::check_choice(request, "tool_choice"));
    return request;
}

text::ChatTemplateInput chat_input(const std::vector<Message>& messages, const ChatOptions& options) {
    text::ChatTemplateInput input;
    std::size_t n_named = 0;
    std::deque<std::string> waiting;  // ids of calls without a result
    for (const Message& message : messages) {
        ordered_json made{{"role", text::valid_utf8(message.role)}, {"content", text::valid_utf8(message.content)}};
        if (!message.reasoning.empty()) made["reasoning_content"] = text::valid_utf8(message.reasoning);
        for (const Call& call : message.calls) {
            waiting.push_back(call.id.empty() ? fmt::format("call_{}", n_named++) : text::valid_utf8(call.id));
            made["tool_calls"].push_back(
                {{"id", waiting.back()},
                 {"type", "function"},
                 {"function",
                  {{"name", text::valid_utf8(call.name)},
                   {"arguments", value_or_throw(protocols::ordered_object(call.arguments, "messages: calls: arguments"))}}}});
        }
        if (message.role == "tool") {
            std::string id = text::valid_utf8(message.call_id);
            if (id.empty() && !waiting.empty()) id = waiting.front();
            std::erase(waiting, id);
            made["tool_call_id"] = std::move(id);
        }
        input.messages.push_back(std::move(made));
    }
    protocols::name_results(input.messages);
    for (const protocols::FunctionTool& tool : function_tools(options.tools)) input.tools.push_back(tool.definition);
    if (!options.variables.empty()) input.variables = value_or_throw(protocols::ordered_object(options.variables, "variables"));
    return input;
}

std::vector<Part> public_parts(protocols::AnswerEvents events) {
    std::vector<Part> parts;
    for (protocols::AnswerEvent& event : events) {
        parts.push_back({.kind = static_cast<PartKind>(event.kind), .text = std::move(event.text), .call = event.call});
    }
    return parts;
}

}  // namespace rafter::library
