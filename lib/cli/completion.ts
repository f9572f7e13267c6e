import { defineCommand } from './command.ts'

const SCRIPTS = {
  bash: `# gvx completion: put into ~/.bashrc:  source <(gvx completion bash)
_gvx() {
  local IFS=$'\\n'
  COMPREPLY=($(gvx __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); fi
  [[ \${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _gvx gvx`,
  zsh: `# gvx completion: put into ~/.zshrc:  source <(gvx completion zsh)
_gvx() {
  local -a found
  found=("\${(@f)$(gvx __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -S '' -- $found; else _files; fi
}
compdef _gvx gvx`,
  fish: `# gvx completion: put into ~/.config/fish/completions/gvx.fish
complete -c gvx -f -a '(gvx __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'`,
} as const

export default defineCommand<{ shell: keyof typeof SCRIPTS }, string>({
  builder: (y) =>
    y.positional('shell', {
      choices: ['bash', 'zsh', 'fish'] as const,
      default: 'bash' as const,
      describe: 'It completes commands, options, run names, config keys and experiments',
    }),
  run: ({ shell }) => SCRIPTS[shell],
  print: (script, out) => out.line(script),
})
