#include "outlay/tokens.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "core/pricing/joined_count.hpp"
#include "support/catch.hpp"

using outlay::built_in_tokenizer;

namespace {

// Written for this test; counted with gpt-tokenizer 4.0.0, whose counts are those of OpenAI's tiktoken.
struct Sample {
  const char* name;
  std::int64_t o200k;
  std::int64_t cl100k;
  std::string_view text;
};

// clang-format off
constexpr Sample samples[] = {
    {"English", 84, 85,
     "The library keeps an account of what each part of a program may spend on language models, and "
     "refuses a call that no longer fits before it is sent. Nothing is billed twice, and a reply that was "
     "paid for is never thrown away. If the provider's server goes silent after the request has left, the "
     "whole reservation stays on the books until someone finds out what really happened; that's the price "
     "of an honest ledger."},
    {"German", 90, 114,
     "Die Bibliothek führt Buch darüber, wie viel jeder Teil eines Programms für Sprachmodelle ausgeben "
     "darf, und lehnt einen Aufruf ab, der nicht mehr hineinpasst, bevor er abgeschickt wird. Übersteigt "
     "die Rechnung trotzdem die Obergrenze, etwa wegen einer Preisänderung des Anbieters, wird der "
     "Mehrbetrag vollständig verbucht und als Überschreitung gemeldet. Haushaltsplanung ist schließlich "
     "Vertrauenssache."},
    {"Russian", 87, 141,
     "Библиотека ведёт учёт того, сколько каждая часть программы может потратить на языковые модели, и "
     "отклоняет вызов, который больше не помещается в бюджет, ещё до отправки. Если счёт всё же превысил "
     "предел, разница записывается полностью и сообщается как перерасход. Деньги хранятся в целых числах, "
     "поэтому копейки никогда не теряются."},
    {"Greek", 85, 212,
     "Η βιβλιοθήκη κρατά λογαριασμό για το πόσα μπορεί να ξοδέψει κάθε τμήμα ενός προγράμματος σε "
     "γλωσσικά μοντέλα και αρνείται μια κλήση που δεν χωρά πια, πριν αυτή σταλεί. Τα χρήματα μετρώνται με "
     "ακέραιους αριθμούς, ώστε να μη χάνεται ούτε ένα λεπτό."},
    {"Arabic", 83, 177,
     "تحتفظ المكتبة بحساب لما يجوز لكل جزء من البرنامج أن ينفقه على النماذج اللغوية، وترفض كل طلب لم يعد "
     "يتسع له الحد قبل أن يُرسل. وإذا تجاوزت الفاتورة السقف رغم ذلك، سُجّل الفرق كاملاً وأُبلغ عنه. تُحفظ "
     "المبالغ أعداداً صحيحة حتى لا يضيع شيء."},
    {"Hebrew", 89, 235,
     "הספרייה מנהלת חשבון של מה שכל חלק בתוכנית רשאי להוציא על מודלי שפה, ומסרבת לקריאה שכבר אינה נכנסת "
     "בתקציב עוד לפני שנשלחה. אם החשבון בכל זאת עבר את התקרה, ההפרש נרשם במלואו ומדווח. הסכומים נשמרים "
     "כמספרים שלמים כדי ששום אגורה לא תלך לאיבוד."},
    {"Hindi", 83, 267,
     "यह लाइब्रेरी हिसाब रखती है कि प्रोग्राम का हर हिस्सा भाषा मॉडलों पर कितना खर्च कर सकता है, और जो "
     "कॉल बजट में नहीं समाती उसे भेजने से पहले ही रोक देती है। अगर बिल फिर भी सीमा से ऊपर चला जाए, तो "
     "पूरा अंतर दर्ज किया जाता है। रकम पूर्णांकों में रखी जाती है, ताकि एक पैसा भी न खोए।"},
    {"Chinese", 95, 128,
     "这个库记录程序的每个部分在语言模型上可以花费多少，并在请求发出之前拒绝超出预算的调用。如果账单仍然超过上限，例如供应商改变了价格，差额会全部入账并作为超支报告。金额以整数保存，因此一分钱也不会丢失。并"
     "发的任务共享同一个预算时，任何时刻已用与预留之和都不会超过上限。"},
    {"Japanese", 102, 139,
     "このライブラリは、プログラムの各部分が言語モデルに使ってよい金額を記録し、予算に収まらない呼び出しを送信前に拒否します。それでも請求が上限を超えた場合は、差額をすべて帳簿に記入し、超過として報告します"
     "。金額は整数で保持されるので、端数が失われることはありません。"},
    {"Korean", 87, 134,
     "이 라이브러리는 프로그램의 각 부분이 언어 모델에 얼마를 쓸 수 있는지 기록하고, 예산에 더 이상 들어가지 않는 호출은 보내기 전에 거절합니다. 그래도 청구액이 한도를 넘으면 "
     "차액을 모두 장부에 적고 초과로 보고합니다. 금액은 정수로 보관하므로 한 푼도 사라지지 않습니다."},
    {"Thai", 93, 226,
     "ไลบรารีนี้บันทึกว่าแต่ละส่วนของโปรแกรมใช้เงินกับโมเดลภาษาได้เท่าใด "
     "และปฏิเสธการเรียกที่เกินงบประมาณก่อนที่จะส่งออกไป หากใบแจ้งหนี้ยังเกินเพดาน "
     "ส่วนต่างจะถูกบันทึกทั้งหมดและรายงานว่าเกิน จำนวนเงินเก็บเป็นจำนวนเต็มเพื่อไม่ให้เศษสตางค์หายไป"},
    {"Emoji", 78, 104,
     "🎉🚀 Done! 👩‍💻👨‍👩‍👧‍👦 spent 💸💰 on 🤖🧠 — budget ✅❌ 🏳️‍🌈 🇩🇪🇯🇵 ⚠️ stop 🛑✋🏽 bye 👋🏿😀😅🤣😭😱🥶"},
    {"Python", 142, 142,
     R"_(def settle(self, usage: Usage, *, served_model: str | None = None) -> Decimal:
    """Replace the reservation by what was really used."""
    if self._ended:
        return self._booked  # settling twice is a no-op
    rates = self.table.rates_for(served_model or self.model, usage.prompt_tokens)
    cost = sum(getattr(usage, name) * rates[name] for name in BUCKETS if name in rates)
    with self._lock:
        self.reserved -= self._held
        self.spent += cost.quantize(NANO, rounding=ROUND_HALF_EVEN)
    self._ended = True
    return cost
)_"},
    {"C++", 117, 117,
     R"_(template <class Executor>
std::size_t drain(Executor& executor, std::vector<std::unique_ptr<Task>>& tasks) {
  std::size_t done = 0;
  for (auto it = tasks.begin(); it != tasks.end();) {
    if (!(*it)->ready()) { ++it; continue; }
    executor.post([task = std::move(*it)]() noexcept { task->run(); });
    it = tasks.erase(it);
    ++done;  // counted once, however often it is retried
  }
  return done;
}
)_"},
    {"JSON", 136, 135,
     R"_({"id": "chatcmpl-8f3Qz1", "object": "chat.completion", "created": 1785542400, "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Forty-two.", "tool_calls": null}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1311, "completion_tokens": 57, "total_tokens": 1368, "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0}}})_"},
    {"indented JSON", 114, 114,
     R"_({
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Current weather of a city",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {
                            "type": "string"
                        },
                        "unit": {
                            "enum": [
                                "c",
                                "f"
                            ]
                        }
                    },
                    "required": [
                        "city"
                    ]
                }
            }
        }
    ]
})_"},
    {"base64", 285, 294,
     "jU8yc4pkvA4iU+FdkbN8ekUionFyEdbMFFIk+ooHtPHB3Z4xwfkWUrH7dS4QQTGCaF3dvAivWZKc1+t28r5dQPXNvEdSYN5HeS4j"
     "zwSPysIAZk68kWiIUevjo9I6M/XC27TW9/ZZGXN0K5qGvb/R9sB6UxGv7tNm8n+YnYpMtcRKuUDgJuBH8xaGEtmu/6jiVVJr6hWk"
     "3ZWCCZsSx51qM7fjTSS0j4AYHxF/zCc+urKexcm+1Y9pwkgMPQW0pYI76ivZKDuejoAt0aYTbuXKpm40m+6spVoIs+p5uX7pNuIF"
     "q5TQXWt1HmnqqgSXpiX3AgwZ2WI30TS56bi+gqXbDjX0eZVl0chXj24X0VAEXevSlhbx2qy1lxgfd8z2OWV+o0Vf8314g/thCbQH"},
    {"hex", 235, 238,
     "8d4f32738a64bc0e2253e15d91b37c7a4522a2717211d6cc145224fa8a07b4f1c1dd9e31c1f91652b1fb752e10413182685d"
     "ddbc08af59929cd7eb76f2be5d40f5cdbc475260de47792e23cf048fcac200664ebc91688851ebe3a3d23a33f5c2dbb4d6f7"
     "f6591973742b9a86bdbfd1f6c07a5311afeed366f27f989d8a4cb5c44ab940e026e047f3168612d9aeffa8e255526bea15a4"
     "dd9582099b12c79d6a33b7e34d24b48f80181f117fcc273ebab29ec5c9bed58f69c2480c3d05b4a5823bea2bd9283b9e8e80"},
    {"white space", 80, 80,
     "if x:\n"
     "\n"
     "        return\t\ty    # one\n"
     "\n"
     "\n"
     "                z = 1\r\n"
     "\r\n"
     "    \t end   \n"
     "if x:\n"
     "\n"
     "        return\t\ty    # one\n"
     "\n"
     "\n"
     "                z = 1\r\n"
     "\r\n"
     "    \t end   \n"
     "if x:\n"
     "\n"
     "        return\t\ty    # one\n"
     "\n"
     "\n"
     "                z = 1\r\n"
     "\r\n"
     "    \t end   \n"
     "if x:\n"
     "\n"
     "        return\t\ty    # one\n"
     "\n"
     "\n"
     "                z = 1\r\n"
     "\r\n"
     "    \t end   \n"},
    {"log", 302, 302,
     R"_(2026-08-01T01:07:07.037Z INFO worker-1 request 8a64bc0e2253 took 131 ms (status 429)
2026-08-02T02:14:07.074Z INFO worker-2 request 2253e15d91b3 took 262 ms (status 503)
2026-08-03T03:21:07.111Z INFO worker-3 request 91b37c7a4522 took 393 ms (status 200)
2026-08-04T04:28:07.148Z INFO worker-4 request 4522a2717211 took 524 ms (status 429)
2026-08-05T05:35:07.185Z INFO worker-5 request 7211d6cc1452 took 655 ms (status 503)
2026-08-06T06:42:07.222Z INFO worker-6 request 145224fa8a07 took 786 ms (status 200)
2026-08-07T07:49:07.259Z INFO worker-7 request 8a07b4f1c1dd took 17 ms (status 429)
2026-08-08T08:56:07.296Z INFO worker-0 request c1dd9e31c1f9 took 148 ms (status 503))_"},
    {"capitals", 44, 44,
     "WARNING: THE DAILY BUDGET OF THE PROJECT IS NEARLY SPENT. NEW CALLS WILL BE REFUSED AT MIDNIGHT. "
     "MAX_OUTPUT_TOKENS=4096 HTTP_PROXY_TIMEOUT_MS=2500"},
    {"Turkish", 65, 83,
     "Kütüphane, bir programın her bölümünün dil modellerine ne kadar harcayabileceğinin hesabını tutar "
     "ve bütçeye artık sığmayan bir çağrıyı gönderilmeden önce reddeder. Tutarlar tam sayı olarak "
     "saklandığından tek kuruş bile kaybolmaz."},
    {"Polish", 71, 83,
     "Biblioteka prowadzi rachunek tego, ile każda część programu może wydać na modele językowe, i "
     "odrzuca wywołanie, które już się nie mieści, zanim zostanie wysłane. Kwoty są przechowywane jako "
     "liczby całkowite, więc nie ginie ani jeden grosz."},
    {"Vietnamese", 55, 95,
     "Thư viện ghi lại mỗi phần của chương trình được phép chi bao nhiêu cho các mô hình ngôn ngữ và từ "
     "chối lời gọi không còn vừa ngân sách trước khi gửi đi. Số tiền được lưu bằng số nguyên nên không "
     "mất một xu nào."},
};
// clang-format on

// How far `typical` may be from o200k_base, in percent. Scripts whose words the scan cannot tell apart are further off.
constexpr int typical_error = 20;
constexpr int typical_error_of_the_worst = 45;

}  // namespace

TEST_CASE("tokens: upper is not below the true count of either vocabulary, nor above the bytes", "[core][tokens]") {
  const auto& tokenizer = built_in_tokenizer();
  std::printf("%-14s %6s %6s %6s %6s %6s %8s %8s\n", "text", "bytes", "o200k", "cl100k", "upper", "/true", "typical",
              "/o200k");
  for (const auto& sample : samples) {
    INFO(sample.name);
    const auto most = std::max(sample.o200k, sample.cl100k);
    const auto upper = tokenizer.upper(sample.text);
    const auto typical = tokenizer.typical(sample.text);
    std::printf("%-14s %6zu %6d %6d %6d %5d%% %8d %+7d%%\n", sample.name, sample.text.size(),
                static_cast<int>(sample.o200k), static_cast<int>(sample.cl100k), static_cast<int>(upper),
                static_cast<int>(upper * 100 / most), static_cast<int>(typical),
                static_cast<int>(typical * 100 / sample.o200k) - 100);
    CHECK(upper >= most);
    CHECK(upper <= static_cast<std::int64_t>(sample.text.size()));
    CHECK(upper * 100 <= most * 210);
  }
}

TEST_CASE("tokens: typical is near the count of o200k_base", "[core][tokens]") {
  for (const auto& sample : samples) {
    INFO(sample.name);
    const bool hard = sample.name == std::string_view("Chinese") || sample.name == std::string_view("Vietnamese");
    const auto off = std::abs(built_in_tokenizer().typical(sample.text) - sample.o200k);
    CHECK(off * 100 <= sample.o200k * (hard ? typical_error_of_the_worst : typical_error));
  }
}

TEST_CASE("tokens: an empty text has none", "[core][tokens]") {
  CHECK(built_in_tokenizer().upper("") == 0);
  CHECK(built_in_tokenizer().typical("") == 0);
}

TEST_CASE("tokens: short texts stay between one token and their bytes", "[core][tokens]") {
  for (const std::string_view text : {"a", " ", "7", "\n", "\xC3", "\xF0\x9F\x8E\x89", "hi"}) {
    const auto upper = built_in_tokenizer().upper(text);
    const auto typical = built_in_tokenizer().typical(text);
    CHECK(typical >= 1);
    CHECK(typical <= upper);
    CHECK(upper <= static_cast<std::int64_t>(text.size()));
  }
}

TEST_CASE("tokens: any bytes at all are counted, and never as more than they are", "[core][tokens]") {
  std::mt19937 random(4);
  std::uniform_int_distribution<int> byte(0, 255);
  for (int round = 0; round < 2000; ++round) {
    std::string text(static_cast<std::size_t>(round % 97), '\0');
    for (char& c : text) c = static_cast<char>(byte(random));
    const auto upper = built_in_tokenizer().upper(text);
    const auto typical = built_in_tokenizer().typical(text);
    REQUIRE(upper >= typical);
    REQUIRE(typical >= (text.empty() ? 0 : 1));
    REQUIRE(upper <= static_cast<std::int64_t>(text.size()));
  }
}

TEST_CASE("tokens: a text cut inside a character is read to its end", "[core][tokens]") {
  const std::string_view text = "\xE6\x97\xA5\xE6\x9C\xAC";
  for (std::size_t size = 0; size <= text.size(); ++size)
    CHECK(built_in_tokenizer().upper(text.substr(0, size)) <= static_cast<std::int64_t>(size));
}

TEST_CASE("tokens: digits count by threes", "[core][tokens]") {
  // Both vocabularies split numbers into groups of at most three digits, each of them one token.
  const std::string digits(3000, '7');
  CHECK(built_in_tokenizer().upper(digits) >= 1000);
  CHECK(built_in_tokenizer().upper(digits) <= 1700);
}

TEST_CASE("tokens: each word between spaces is one at least, however short and usual it is", "[core][tokens]") {
  // Neither vocabulary has a token that goes over the white space between two words.
  for (const std::string_view words : {"a b c d e f ", "to be or ", "I am as he is ", "x\n", "the and ing "}) {
    std::string text;
    std::int64_t count = 0;
    for (int i = 0; i < 200; ++i) text += words;
    for (std::size_t i = 1; i < text.size(); ++i) count += (text[i] == ' ' || text[i] == '\n') && text[i - 1] != ' ';
    INFO(words);
    CHECK(built_in_tokenizer().upper(text) >= count);
    CHECK(built_in_tokenizer().upper(text) <= 2 * count + 10);
  }
}

TEST_CASE("tokens: a text in pieces is counted as the whole", "[core][tokens]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (const Sample& sample : samples) {
    const std::int64_t whole = built_in_tokenizer().upper(sample.text);
    for (int round = 0; round < 20; ++round) {
      outlay::detail::JoinedCount joined;
      for (std::size_t at = 0; at < sample.text.size();) {
        const std::size_t size = std::min<std::size_t>(sample.text.size() - at, 1 + random() % 12);
        joined.add(sample.text.substr(at, size));
        at += size;
      }
      INFO(sample.name);
      // A text without white space is cut somewhere.
      const auto cuts = static_cast<std::int64_t>(sample.text.size() / 200) + 1;
      CHECK(std::abs(joined.upper() - whole) <= cuts);
    }
  }
  CHECK(outlay::detail::JoinedCount().upper() == 0);
}
