/// os/pair_files.cpp - PEM into new files, links and renames.
#include "os/pair_files.hpp"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "os/system_error.hpp"
#include "os/tls.hpp"

namespace dvesp::os {
namespace {

namespace fs = std::filesystem;

constexpr mode_t key_mode = 0600, certificate_mode = 0644;
constexpr const char *certificate_in_folder = "crt.pem", *key_in_folder = "key.pem";

Error broken(const std::string& what) { return fail(ErrorCode::io_failed, "OpenSSL cannot " + what + ": " + tls_complaint()); }

Result<void> write_key(NewFile& file, const EVP_PKEY* key) {
    const OwnedBio text(BIO_new(BIO_s_secmem()));  // cleared when it is freed
    if (!text || PEM_write_bio_PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return broken("write a key");
    char* bytes = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(text.get(), &bytes));
    auto written = file.append({reinterpret_cast<const std::uint8_t*>(bytes), size});
    OPENSSL_cleanse(bytes, size);
    return written;
}

}  // namespace

Result<void> write_certificate(NewFile& file, const X509* certificate) {
    const OwnedBio text(BIO_new(BIO_s_mem()));
    if (!text || PEM_write_bio_X509(text.get(), certificate) != 1) return broken("write a certificate");
    char* bytes = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(text.get(), &bytes));
    return file.append({reinterpret_cast<const std::uint8_t*>(bytes), size});
}

Result<CertificateFiles> write_pair(const std::string& directory, const std::string& certificate_name,
                                    const std::string& key_name, const X509* certificate, const EVP_PKEY* key) {
    const std::filesystem::path folder(directory);
    DVESP_ASSIGN(NewFile key_file, NewFile::create((folder / key_name).string(), key_mode));
    DVESP_ASSIGN(NewFile certificate_file, NewFile::create((folder / certificate_name).string(), certificate_mode));
    DVESP_TRY(write_key(key_file, key));
    DVESP_TRY(write_certificate(certificate_file, certificate));
    DVESP_TRY(key_file.finish());
    DVESP_TRY(certificate_file.finish());
    return CertificateFiles{certificate_file.path(), key_file.path()};
}

namespace {

/// Makes `link` lead to `target` in one step, whatever it is now.
Result<void> point(const fs::path& link, const fs::path& target) {
    const fs::path draft = link.string() + ".new";
    if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return system_error(errno, "remove", draft.string());
    if (::symlink(target.c_str(), draft.c_str()) != 0) return system_error(errno, "create", draft.string());
    if (::rename(draft.c_str(), link.c_str()) != 0) return system_error(errno, "replace", link.string());
    return {};
}

/// A second name for the same file.
Result<void> give_name(const fs::path& file, const fs::path& name) {
    if (::unlink(name.c_str()) != 0 && errno != ENOENT) return system_error(errno, "remove", name.string());
    if (::link(file.c_str(), name.c_str()) != 0) return system_error(errno, "link", name.string());
    return {};
}

Result<void> make_folder(const fs::path& folder) {
    std::error_code code;
    fs::create_directory(folder, code);
    if (code) return system_error(code.value(), "create", folder.string());
    return {};
}

/// The names of a pair.
struct Places {
    fs::path certificate, key, now, first;
};

/// Lets both names lead through the link `now`; what they lead to stays the same at every step.
Result<void> lead_through_link(const Places& at) {
    std::error_code code;
    const fs::path folder = at.now.filename();
    for (const auto& [name, inside] : {std::pair{at.certificate, certificate_in_folder}, {at.key, key_in_folder}}) {
        if (!fs::exists(name, code))
            return fail(ErrorCode::invalid_argument, "there is no '" + name.string() + "' to be renewed");
        if (fs::is_symlink(name, code) && fs::read_symlink(name, code) != folder / inside)
            return fail(ErrorCode::invalid_argument, "'" + name.string() + "' is a link that `dvesp ca renew` did not make");
    }
    const bool is_same = fs::equivalent(at.certificate, at.now / certificate_in_folder, code) &&
                         fs::equivalent(at.key, at.now / key_in_folder, code);
    if (!is_same) {
        DVESP_TRY(make_folder(at.first));
        DVESP_TRY(give_name(at.certificate, at.first / certificate_in_folder));
        DVESP_TRY(give_name(at.key, at.first / key_in_folder));
        DVESP_TRY(sync_parent((at.first / key_in_folder).string()));
        DVESP_TRY(point(at.now, at.first.filename()));
    }
    if (!fs::is_symlink(at.certificate, code)) DVESP_TRY(point(at.certificate, folder / certificate_in_folder));
    if (!fs::is_symlink(at.key, code)) DVESP_TRY(point(at.key, folder / key_in_folder));
    return sync_parent(at.now.string());
}

}  // namespace

Result<CertificateFiles> replace_pair(const std::string& directory, const std::string& name, const X509* certificate,
                                      const EVP_PKEY* key) {
    const fs::path folder(directory);
    const Places at{folder / (name + ".crt.pem"), folder / (name + ".key.pem"), folder / ("." + name + ".now"),
                    folder / ("." + name + ".first")};
    DVESP_TRY(lead_through_link(at));
    std::error_code code;
    const fs::path old = folder / fs::read_symlink(at.now, code);
    const fs::path fresh = folder / ("." + name + "." + to_hex(identity_of(certificate).serial));
    DVESP_TRY(make_folder(fresh));
    DVESP_TRY(write_pair(fresh.string(), certificate_in_folder, key_in_folder, certificate, key));
    DVESP_TRY(sync_parent((fresh / key_in_folder).string()));
    DVESP_TRY(point(at.now, fresh.filename()));
    DVESP_TRY(sync_parent(at.now.string()));
    fs::remove_all(old, code);  // what stays behind after a crash here harms nobody but its reader
    return CertificateFiles{at.certificate.string(), at.key.string()};
}

}  // namespace dvesp::os
