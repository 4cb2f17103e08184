// Completion: the scripts that shells run when somebody presses the tabulator: each asks this executable (complete.ts) and does what
// its shell wants done with the answer. No list of anything stands in them.
import { Fault } from "../mq/mod.ts";
import type { Completion } from "./complete.ts";
import { inert } from "./names.ts";

/** How the scripts ask: these words, and after them those up to the cursor. It is no verb: nobody types it. */
export const COMPLETE = "complete";

/** What they are answered: on the first line what is offered, then a word a line, with a tabulator before what is said of it. */
export function answerText({ offers, words }: Completion): string {
  return [offers, ...words.map(([word, about]) => about === "" ? word : `${word}\t${about}`), ""].join("\n");
}

/** Words are glued together again that bash has cut at = : or @, and what it has kept of the last one is cut off the answers: all before a = or :, or before an @, but not that. */
const BASH = `# bash completion for isconf, printed by: isconf completion bash
_isconf() {
  local line=\${COMP_LINE:0:COMP_POINT} words=() answer=() i piece kept sign
  for ((i = 0; i <= COMP_CWORD; i++)); do
    piece=\${line%%[! $'\\t']*} line=\${line#"\${line%%[! $'\\t']*}"}
    if ((i == COMP_CWORD)); then sign=$line; else sign=\${COMP_WORDS[i]}; fi
    line=\${line#"$sign"}
    if ((i == 0)) || [[ $piece ]]; then words+=("$sign"); else words[-1]+=$sign; fi
  done
  kept=\${words[-1]}
  for i in "\${!words[@]}"; do
    piece=\${words[i]//[\\"\\'\\\\]/}
    words[i]=$piece
  done
  mapfile -t answer < <(command isconf ${COMPLETE} -- "\${words[@]:1}" 2>/dev/null </dev/null)
  COMPREPLY=("\${answer[@]:1}")
  COMPREPLY=("\${COMPREPLY[@]%%$'\\t'*}")
  if ((\${#COMPREPLY[@]})); then
    piece=$kept
    for sign in = :; do
      [[ $COMP_WORDBREAKS == *$sign* ]] && piece=\${piece##*"$sign"}
    done
    [[ $COMP_WORDBREAKS == *@* && $piece == *@* ]] && piece=@\${piece##*@}
    kept=\${kept%"$piece"}
    COMPREPLY=("\${COMPREPLY[@]#"$kept"}")
    [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace
  elif [[ \${answer[0]} == commands ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "\${words[-1]}")
  elif [[ \${answer[0]} == files ]]; then
    compopt -o default -o filenames
  fi
}
complete -F _isconf isconf
`;

const ZSH = `#compdef isconf
# zsh completion for isconf, printed by: isconf completion zsh
_isconf() {
  local -a answer words_ shown
  local offers line
  answer=("\${(@f)$(command isconf ${COMPLETE} -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  offers=$answer[1]
  for line in "\${(@)answer[2,-1]}"; do
    [[ -n $line ]] || continue
    words_+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  -- }")
  done
  if (( $#words_ )); then
    compadd -l -d shown -a words_
  elif [[ $offers == files ]]; then
    _files
  elif [[ $offers == commands ]]; then
    _command_names -e
  fi
}
if [[ $funcstack[1] == _isconf ]]; then _isconf "$@"; else compdef _isconf isconf; fi
`;

const FISH = `# fish completion for isconf, printed by: isconf completion fish
function __isconf_complete
  set -l answer (command isconf ${COMPLETE} -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null </dev/null)
  if test (count $answer) -gt 1
    printf '%s\\n' $answer[2..-1]
  else if test "$answer[1]" = files
    __fish_complete_path (commandline -ct)
  else if test "$answer[1]" = commands
    __fish_complete_command
  end
end
complete -c isconf -f -a '(__isconf_complete)'
`;

const SCRIPTS: Record<string, string> = { bash: BASH, zsh: ZSH, fish: FISH };

/** The script of a shell. Throws usage. */
export function completionScript(shell: string): string {
  const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
  if (script !== undefined) return script;
  throw new Fault("completion", "usage", `there is no completion for ${inert(shell)}`, {
    hint: `isconf completion ${Object.keys(SCRIPTS).join("|")}`,
  });
}
