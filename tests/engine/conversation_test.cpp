// Prompts of a growing chat: each begins with the tokens of the one before and its answer, whatever the tokenizer would make of them now.
#include "engine/conversation.h"

#include <gtest/gtest.h>

#include "files/gguf.h"
#include "tests/support/tiny_model.h"

namespace rafter::engine {
namespace {

// The tiny model's tokenizer and ChatML template, or another template.
struct ConversationRig {
    explicit ConversationRig(std::string_view source = {}) : bytes(model::tiny_gguf({})) {
        auto file = files::GgufFile::parse(bytes, "tiny").value();
        auto tokenizer = text::Tokenizer::load(file.metadata()).value();
        const auto own = file.metadata().get_string("tokenizer.chat_template").value();
        auto chat_template = text::ChatTemplate::parse(std::string(source.empty() ? own : source), "test").value();
        opened.emplace(OpenedModel{.source = std::make_unique<files::GgufFile>(std::move(file)),
                                   .tokenizer = std::move(tokenizer),
                                   .config = {},
                                   .chat_template = std::move(chat_template),
                                   .has_own_template = true});
    }
    [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
        return opened->tokenizer->encode(text, text::SpecialTokens::kParse);
    }
    std::vector<std::byte> bytes;
    std::optional<OpenedModel> opened;
};

bool starts_with(const std::vector<TokenId>& tokens, const std::vector<TokenId>& start) {
    return tokens.size() >= start.size() && std::equal(start.begin(), start.end(), tokens.begin());
}

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(Conversation, WritesTheTemplatesPrompt) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "be brief");
    EXPECT_EQ(chat.ask("hello").value(),
              rig.encode("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(Conversation, KeepsTheTokensThatTheModelWroteEvenIfTheTokenizerWouldNot) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "");
    const auto first = chat.ask("hello").value();
    const auto the = joined(joined(rig.encode("t"), rig.encode("h")), rig.encode("e"));  // "the", but not as the tokenizer cuts it
    ASSERT_NE(the, rig.encode("the"));
    auto answer = the;
    answer.push_back(rig.opened->tokenizer->special().end_of_generation.front());
    chat.answered(answer, "the");
    const auto second = chat.ask("more").value();
    EXPECT_EQ(second, joined(joined(first, the), rig.encode("<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n")));
}

TEST(Conversation, TakesTheMessagesTextWhereAStopStringWasCutOff) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "");
    const auto first = chat.ask("hello").value();
    chat.answered(rig.encode("one STOP"), "one ");
    const auto second = chat.ask("more").value();
    EXPECT_TRUE(starts_with(second, joined(joined(first, rig.encode("one ")), rig.encode("<|im_end|>"))));
}

TEST(Conversation, FollowsATemplateThatRewritesThePast) {
    const ConversationRig rig("{% for m in messages %}{{ loop.length }}{{ m.content }};{% endfor %}");
    Conversation chat(*rig.opened, "");
    EXPECT_EQ(chat.ask("a").value(), rig.encode("1a;"));
    chat.answered(rig.encode("b"), "b");
    EXPECT_EQ(chat.ask("c").value(), rig.encode("3a;3b;3c;"));
}

TEST(Conversation, AFailedQuestionIsAsIfNeverAsked) {
    const ConversationRig rig(
        "{% for m in messages %}{% if 'bad' in m.content %}{{ raise_exception('no') }}{% endif %}{{ m.content }};{% endfor %}");
    Conversation chat(*rig.opened, "");
    ASSERT_TRUE(chat.ask("a").has_value());
    chat.answered(rig.encode("b"), "b");
    EXPECT_FALSE(chat.ask("bad").has_value());
    ASSERT_TRUE(chat.ask("other").has_value());
    chat.retract();
    EXPECT_EQ(chat.ask("c").value(), rig.encode("a;b;c;"));
}

TEST(Conversation, ResetForgetsAllButTheSystemMessage) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "sys");
    const auto first = chat.ask("hello").value();
    chat.answered({}, "");
    chat.reset();
    EXPECT_EQ(chat.ask("hello").value(), first);
    chat.set_system("");
    EXPECT_EQ(chat.ask("hello").value(), rig.encode("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(Conversation, InvalidUtf8BecomesReplacementCharacters) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "");
    EXPECT_EQ(chat.ask("\xFF!").value(), rig.encode("<|im_start|>user\n\xEF\xBF\xBD!<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(Conversation, UndoForgetsTheLastTurn) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "");
    EXPECT_FALSE(chat.undo());
    ASSERT_TRUE(chat.ask("one").has_value());
    chat.answered(rig.encode("1"), "1");
    const auto second = chat.ask("two").value();
    chat.answered(rig.encode("2"), "2");
    EXPECT_EQ(chat.undo(), "two");
    EXPECT_EQ(chat.ask("two").value(), second);
}

TEST(Conversation, DropsTheOldestTurnsAndKeepsTheSystemMessage) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "sys");
    EXPECT_FALSE(chat.drop_oldest_turn());
    for (const char* text : {"one", "two"}) {
        ASSERT_TRUE(chat.ask(text).has_value());
        chat.answered(rig.encode("yes"), "yes");
    }
    const auto whole = chat.ask("three").value();
    EXPECT_TRUE(chat.drop_oldest_turn());
    const std::string system = "<|im_start|>system\nsys<|im_end|>\n";
    const std::string three = "<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\n";
    EXPECT_EQ(chat.prompt().value(),
              rig.encode(system + "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n" + three));
    EXPECT_TRUE(chat.drop_oldest_turn());
    EXPECT_EQ(chat.prompt().value(), rig.encode(system + three));
    EXPECT_FALSE(chat.drop_oldest_turn());
    EXPECT_EQ(chat.messages().size(), 6U) << "all of it is still the conversation";
    chat.restore_turns(2);
    EXPECT_EQ(chat.prompt().value(), whole);
}

TEST(Conversation, GoesOnFromSavedMessages) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "sys");
    ASSERT_TRUE(chat.ask("one").has_value());
    chat.answered(rig.encode("1"), "1");
    Conversation other(*rig.opened, "something else");
    ASSERT_TRUE(other.load(chat.messages()).has_value());
    EXPECT_EQ(other.messages(), chat.messages());
    EXPECT_EQ(other.ask("two").value(), chat.ask("two").value());
}

TEST(Conversation, RefusesOtherListsOfMessagesAndChangesNothing) {
    const ConversationRig rig;
    Conversation chat(*rig.opened, "sys");
    for (const auto& [text, words] : std::vector<std::pair<const char*, const char*>>{
             {R"({})", "messages: expected a list"},
             {R"([1])", "messages[0]: expected an object"},
             {R"([{"role": "user"}])", "messages[0]: expected an object"},
             {R"([{"role": "user", "content": 1}])", "messages[0]: expected an object"},
             {R"([{"role": "assistant", "content": "a"}])", "messages[0].role: expected system or user, found \"assistant\""},
             {R"([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])", "messages[1].role: expected assistant"},
             {R"([{"role": "user", "content": "a"}])", "expected an answer to the last question"}}) {
        const auto loaded = chat.load(nlohmann::ordered_json::parse(text));
        ASSERT_FALSE(loaded.has_value()) << text;
        EXPECT_NE(loaded.error().message.find(words), std::string::npos) << loaded.error().message;
    }
    EXPECT_EQ(chat.system(), "sys");
}

TEST(Conversation, GivesVariablesToTheTemplate) {
    const ConversationRig rig("{{ enable_thinking }}:{{ messages[0].content }}");
    Conversation chat(*rig.opened, "");
    chat.set_variables({{"enable_thinking", false}});
    EXPECT_EQ(chat.ask("a").value(), rig.encode("False:a"));
}

}  // namespace
}  // namespace rafter::engine
