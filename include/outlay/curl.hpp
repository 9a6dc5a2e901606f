#pragma once

// Calls over libcurl, plain or streamed, inside budgets. Header-only.
#include <curl/curl.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

#include "outlay/json.hpp"

namespace outlay {

/// What curl_perform() does beside the transfer. The order of the members is part of the interface, for designated
/// initialisers.
struct CurlOptions {
  /// How the request is read and admitted.
  GuardOptions guard{};
  /// What the handle's CURLOPT_WRITEFUNCTION and CURLOPT_WRITEDATA would be: called as libcurl calls it, with at most CURL_MAX_WRITE_SIZE
  /// bytes. It may not pause. Null: CurlResult::body keeps the reply. A reply that is no stream, CurlResult::body keeps in any case.
  curl_write_callback write{};
  /// The last argument of `write`.
  void* write_data{};
  curl_write_callback header{};  ///< The same for CURLOPT_HEADERFUNCTION and CURLOPT_HEADERDATA. Null: none.
  /// The last argument of `header`.
  void* header_data{};
  /// Called once the call is admitted, before it is sent: sets what depends on its model, as the URL where Api::model_in_path().
  std::function<void(CURL* easy, const GuardedCall& call)> prepare{};
  /// How the reply is taken.
  TransferOptions transfer{};
};

/// What became of a transfer over libcurl.
struct CurlResult : TransferResult {
  CURLcode code{
      CURLE_OK};  ///< Of curl_easy_perform. CURLE_WRITE_ERROR where a budget cut the stream, or `write` refused bytes.
};

namespace detail {

/// A transfer as libcurl sees it: its callbacks throw nothing.
class CurlTransfer {
 public:
  CurlTransfer(CURL* easy, GuardedCall& call, const CurlOptions& options)
      : easy_(easy), options_(options), transfer_(call, deliver(), options.transfer) {}

  CURLcode set(std::string_view body) noexcept {
    body_ = body;
    // The body is read by a function, which sees when it leaves, and when libcurl wants to send it again.
    CURLcode code = curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, nullptr);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_POST, 1L);
    if (code == CURLE_OK)
      code = curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_READFUNCTION, &CurlTransfer::on_read);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_READDATA, this);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_SEEKFUNCTION, &CurlTransfer::on_seek);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_SEEKDATA, this);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, &CurlTransfer::on_write);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_WRITEDATA, this);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, &CurlTransfer::on_header);
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, CURLOPT_HEADERDATA, this);
    return code;
  }
  // What is not of `options` gets libcurl's defaults, https://curl.se/libcurl/c/curl_easy_setopt.html: its own functions use a FILE.
  ~CurlTransfer() {
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t{-1});
    curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(easy_, CURLOPT_READFUNCTION, nullptr);
    curl_easy_setopt(easy_, CURLOPT_READDATA, stdin);
    curl_easy_setopt(easy_, CURLOPT_SEEKFUNCTION, nullptr);
    curl_easy_setopt(easy_, CURLOPT_SEEKDATA, nullptr);
    curl_easy_setopt(easy_, CURLOPT_WRITEFUNCTION, options_.write);
    curl_easy_setopt(easy_, CURLOPT_WRITEDATA, options_.write ? options_.write_data : stdout);
    curl_easy_setopt(easy_, CURLOPT_HEADERFUNCTION, options_.header);
    curl_easy_setopt(easy_, CURLOPT_HEADERDATA, options_.header ? options_.header_data : nullptr);
  }
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  CurlResult perform(std::string_view body) noexcept {
    CURLcode code = set(body);
    TransferEnd how = TransferEnd::not_sent;
    if (code == CURLE_OK) {
      code = curl_easy_perform(easy_);
      how = end_of(code);
    }
    CurlResult result{transfer_.end(how, curl_easy_strerror(code)), code};
    if (thrown_) result.thrown = thrown_;
    return result;
  }

 private:
  TransferEnd end_of(CURLcode code) noexcept {
    if (code == CURLE_OK) return TransferEnd::complete;
    if (code == CURLE_HTTP_RETURNED_ERROR) {  // CURLOPT_FAILONERROR: the status is known, the head's end is not shown
      transfer_.head(status());
      return TransferEnd::complete;
    }
    // A proxy that let nothing through, or no connection: the body is still here.
    return read_ == 0 && !answered_ ? TransferEnd::not_sent : TransferEnd::broken;
  }

  int status() const noexcept {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }

  Transfer::Deliver deliver() const {
    if (options_.write == nullptr) return {};
    return [this](std::string_view bytes) {
      while (!bytes.empty()) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), CURL_MAX_WRITE_SIZE);
        // A callback of C does not write to what it is given, although its type would let it.
        if (options_.write(const_cast<char*>(bytes.data()), 1, size, options_.write_data) != size) return false;
        bytes.remove_prefix(size);
      }
      return true;
    };
  }

  static std::size_t on_read(char* to, std::size_t, std::size_t room, void* self) noexcept {
    CurlTransfer& transfer = *static_cast<CurlTransfer*>(self);
    // After an answer that asks for it, as a redirect does, the request is sent again: what answers that counts.
    if (transfer.read_ == 0 && std::exchange(transfer.answered_, false)) transfer.transfer_.head(0);
    const std::size_t size = transfer.body_.copy(to, room, transfer.read_);
    transfer.read_ += size;
    return size;
  }

  // Without an answer libcurl sends a request again where a connection that was kept has broken. It may have been served.
  static int on_seek(void* self, curl_off_t offset, int origin) noexcept {
    CurlTransfer& transfer = *static_cast<CurlTransfer*>(self);
    if (origin != SEEK_SET || offset != 0 || (transfer.read_ != 0 && !transfer.answered_)) return CURL_SEEKFUNC_FAIL;
    transfer.read_ = 0;
    return CURL_SEEKFUNC_OK;
  }

  static std::size_t on_write(char* data, std::size_t, std::size_t size, void* self) noexcept {
    return static_cast<CurlTransfer*>(self)->transfer_.body({data, size}) ? size : size + 1;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept {
    CurlTransfer& transfer = *static_cast<CurlTransfer*>(self);
    const std::string_view line(data, size);
    // An empty line ends a head: of the reply, or of what comes before it (100 Continue, a proxy's answer).
    if (line == "\r\n" || line == "\n")
      if (const int status = transfer.status(); status >= 200) {
        transfer.answered_ = true;
        transfer.transfer_.head(status);
      }
    if (transfer.options_.header == nullptr) return size;
    try {
      return transfer.options_.header(data, 1, size, transfer.options_.header_data);
    } catch (...) {
      transfer.thrown_ = std::current_exception();
      return size + 1;
    }
  }

  CURL* easy_;
  const CurlOptions& options_;
  Transfer transfer_;
  std::string_view body_{};
  std::size_t read_ = 0;       // of the body
  bool answered_ = false;      // since the body's first byte
  std::exception_ptr thrown_;  // by a header callback of C++
};

}  // namespace detail

/// Performs a request on a prepared easy handle inside the budgets around: admits it, sends it as the policies left it, plain or streamed as
/// the body says, and settles it by what comes.
///
/// No address, no connection, no TLS, a proxy that lets nothing through: released. A status other than 2xx: by the API's table. A time-out or
/// a break once something has left: charged; libcurl's own second attempt, where a connection that it had kept breaks, is not made
/// (CURLE_SEND_FAIL_REWIND). A request that libcurl sends again because the answer says so, as a redirect, counts by the last answer. A
/// stream that a budget cuts aborts the transfer.
///
/// \param easy With its URL, header fields (`Content-Type: application/json`), time-outs. Its body, its read, seek, write and header functions are set
/// here; afterwards it has an empty body, the write and header functions are the ones of `options`, and what they leave out, read and seek are
/// libcurl's defaults.
/// \param body The request as in GuardedCall.
/// \return What came; look at `code`, `status` and `failure`.
/// \par Errors
/// As GuardedCall's constructor, before anything is sent. What `prepare`, `write`, `header` or a consumer throws, after the call has been
/// booked; none of it passes through libcurl.
/// \par Thread safety
/// As curl_easy_perform: one handle, one thread at a time.
/// \par Blocking
/// As Call's constructor and curl_easy_perform. In a coroutine or with curl_multi drive a Transfer.
/// \par Example
/// \snippet tests/unit/curl/curl_test.cpp curl_example
inline CurlResult curl_perform(CURL* easy, Api api, std::string_view body, const CurlOptions& options = {}) {
  GuardedCall call(api, body, options.guard);
  if (options.prepare) options.prepare(easy, call);
  CurlResult result = detail::CurlTransfer(easy, call, options).perform(call.body_text());
  if (result.thrown) std::rethrow_exception(result.thrown);
  return result;
}

}  // namespace outlay
