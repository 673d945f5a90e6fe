/**
 * `holdfast completion [SHELL]`: a script that has a shell ask this program for the commands and flags that may come next. yargs
 * answers, in the form that the variable SHELL asks for; so the script says which shell it is for.
 */

import type { Argv } from 'yargs'
import type { Context } from './context.js'

const SCRIPTS = {
  bash: `_holdfast_completions()
{
    local words
    mapfile -t words < <(SHELL=bash ZSH_NAME= holdfast --get-yargs-completions "\${COMP_WORDS[@]}")
    mapfile -t COMPREPLY < <(compgen -W "\${words[*]}" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o bashdefault -o default -F _holdfast_completions holdfast
`,
  zsh: `#compdef holdfast
_holdfast_completions()
{
  local reply
  local si=$IFS
  IFS=$'\\n' reply=($(SHELL=zsh holdfast --get-yargs-completions "\${words[@]}"))
  IFS=$si
  if [[ \${#reply} -gt 0 ]]; then
    _describe 'values' reply
  else
    _default
  fi
}
if [[ "\${zsh_eval_context[-1]}" == "loadautofunc" ]]; then
  _holdfast_completions "$@"
else
  compdef _holdfast_completions holdfast
fi
`,
} as const

interface CompletionArguments {
  readonly shell?: keyof typeof SCRIPTS | undefined
}

export function builder(argv: Argv): Argv {
  return argv
    .positional('shell', {
      choices: Object.keys(SCRIPTS),
      describe: 'shell that the script is for [default: zsh where that is your SHELL, else bash]',
    })
    .example('holdfast completion bash >> ~/.bashrc', 'complete commands and flags in bash')
    .example('holdfast completion zsh >> ~/.zshrc', 'the same in zsh, behind the line with compinit')
}

/** @throws HoldfastError OUTPUT_FAILED */
export async function run({ shell }: CompletionArguments, { env, stdout }: Context): Promise<void> {
  await stdout(SCRIPTS[shell ?? (/zsh/.test(env.SHELL ?? '') ? 'zsh' : 'bash')])
}
