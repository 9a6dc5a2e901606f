# outlay_install_help(<target>): the manual pages and completion scripts that the command makes of its own help, in the install component
# cli. Where it is built for another machine it cannot be asked, and there are none.

include_guard(GLOBAL)

function(outlay_install_help target)
  if(CMAKE_CROSSCOMPILING)
    return()
  endif()
  set(share "${PROJECT_BINARY_DIR}/share")
  set(man "${share}/man/man1")
  set(compress)
  if(OUTLAY_DEBIAN_PACKAGES)
    set(compress COMMAND gzip -9nfr "${man}")
  endif()
  # The names of the scripts are those under which each shell looks for them.
  add_custom_command(OUTPUT "${share}/made"
    COMMAND "${CMAKE_COMMAND}" -E rm -rf "${share}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${man}" "${share}/bash" "${share}/zsh" "${share}/fish"
    COMMAND ${target} manual "${man}"
    ${compress}
    COMMAND ${target} completion bash > "${share}/bash/outlay"
    COMMAND ${target} completion zsh > "${share}/zsh/_outlay"
    COMMAND ${target} completion fish > "${share}/fish/outlay.fish"
    COMMAND "${CMAKE_COMMAND}" -E touch "${share}/made"
    DEPENDS ${target})
  add_custom_target(${target}_help ALL DEPENDS "${share}/made")
  if(OUTLAY_DEBIAN_PACKAGES)
    set(zsh_dir "${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions")
  else()
    set(zsh_dir "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
  endif()
  install(DIRECTORY "${man}/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT cli)
  install(FILES "${share}/bash/outlay" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" COMPONENT cli)
  install(FILES "${share}/zsh/_outlay" DESTINATION "${zsh_dir}" COMPONENT cli)
  install(FILES "${share}/fish/outlay.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" COMPONENT cli)
endfunction()
