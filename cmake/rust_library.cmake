# cmake/rust_library.cmake - the target dvesp_p2p: the static library that cargo builds from p2p/ (raft-rs behind a C ABI).
# Without cargo everything but the cluster is built, and this file says so. All build trees share one target directory.
find_program(DVESP_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin" /usr/lib/rust-web/bin)
mark_as_advanced(DVESP_CARGO)
if(NOT DVESP_CARGO)
    message(WARNING "cargo is missing: dvesp-node and everything of the cluster is left out (tools/setup installs it)")
    return()
endif()
set(DVESP_CARGO_TARGET "${CMAKE_SOURCE_DIR}/build/cargo" CACHE PATH "Where cargo builds; shared by all presets")
# Debian's cargo knows CARGO_HTTP_CAINFO alone; who says where certificates are for everybody else means cargo too.
set(cargo_environment "CARGO_TARGET_DIR=${DVESP_CARGO_TARGET}")
if(DEFINED ENV{SSL_CERT_FILE} AND NOT DEFINED ENV{CARGO_HTTP_CAINFO})
    list(APPEND cargo_environment "CARGO_HTTP_CAINFO=$ENV{SSL_CERT_FILE}")
endif()
execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env ${cargo_environment} "${DVESP_CARGO}" fetch --locked --quiet
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}/p2p"
    RESULT_VARIABLE cargo_fetched
    ERROR_VARIABLE cargo_complaint)
if(NOT cargo_fetched EQUAL 0)
    message(WARNING "cargo cannot fetch what p2p/ needs, so dvesp-node and everything of the cluster is left out: ${cargo_complaint}")
    return()
endif()
set(p2p_library "${DVESP_CARGO_TARGET}/release/libdvesp_p2p.a")
file(GLOB p2p_sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/p2p/src/*.rs")
add_custom_command(
    OUTPUT "${p2p_library}"
    COMMAND "${CMAKE_COMMAND}" -E env ${cargo_environment} "${DVESP_CARGO}" build --release --locked --quiet -j2
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}/p2p"
    DEPENDS ${p2p_sources} "${CMAKE_SOURCE_DIR}/p2p/Cargo.toml" "${CMAKE_SOURCE_DIR}/p2p/Cargo.lock"
    COMMENT "cargo build of p2p/"
    VERBATIM)
add_custom_target(dvesp_p2p_build DEPENDS "${p2p_library}")
add_library(dvesp_p2p STATIC IMPORTED)
set_target_properties(dvesp_p2p PROPERTIES IMPORTED_LOCATION "${p2p_library}")
target_include_directories(dvesp_p2p INTERFACE "${CMAKE_SOURCE_DIR}/p2p/include")
target_link_libraries(dvesp_p2p INTERFACE ${CMAKE_DL_LIBS} m)
add_dependencies(dvesp_p2p dvesp_p2p_build)
