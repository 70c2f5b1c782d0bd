//! What the demo's orchestrator asks for, and the plugins that do it.

use std::io;
use std::path::{Path, PathBuf};
use std::{fs, os::unix::fs::PermissionsExt};

/// Two instructions for the plugin `hello`.
const INSTRUCTIONS: &str = r#"[
  {"id": "hello-1", "agent_id": "demo", "plugin_id": "hello", "instruction_type": "execute",
   "plugin_configuration": {"entrypoint": "hello.sh", "arguments": ["world"]},
   "timeout_seconds": 10},
  {"id": "hello-2", "agent_id": "demo", "plugin_id": "hello", "instruction_type": "execute",
   "plugin_configuration": {"entrypoint": "hello.sh", "arguments": ["again"]},
   "timeout_seconds": 10}
]"#;

/// Answers with what it was told.
const HELLO: &str = "#!/bin/sh\nprintf '{\"hello\":\"%s\"}' \"$1\"\n";

const TRIGGER: &str = "\
plugin:
  id: minute
  name: Minute
  version: 1.0.0
  type: trigger
  runtime: {type: shell, entry_point: main.sh}
";

/// Reports one event, the first time that it is asked.
const MAIN: &str = r#"#!/bin/sh
told=no
while read -r line && [ -n "$line" ]; do
  case $line in
    *get_info*)
      echo '{"success":true,"data":{"id":"minute","name":"Minute","version":"1","type":"trigger"}}' ;;
    *detect_triggers*)
      if [ $told = no ]; then
        told=yes
        echo '{"success":true,"data":{"type":"demo_began","severity":"low"}}'
      else
        echo '{"success":true,"data":null}'
      fi ;;
    *get_status*) echo '{"success":true,"data":"running"}' ;;
    *get_health*) echo '{"success":true,"data":{"status":"healthy"}}' ;;
    *) echo '{"success":true}' ;;
  esac
done
"#;

/// Writes the instructions and the plugins; gives the path of the former.
pub(super) fn write(work: &Path) -> io::Result<PathBuf> {
    let base = work.join("agent");
    let plugins = base.join("data/plugins");
    for (plugin, name, text) in [
        ("hello", "hello.sh", HELLO),
        ("minute", "plugin.yaml", TRIGGER),
        ("minute", "main.sh", MAIN),
    ] {
        let folder = plugins.join(plugin);
        fs::create_dir_all(&folder)?;
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(base, fs::Permissions::from_mode(0o700))?;
    let path = work.join("instructions.json");
    fs::write(&path, INSTRUCTIONS)?;
    Ok(path)
}
