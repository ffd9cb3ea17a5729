# venv.sh: the virtual environment of a script that compares other software with ours. A script whose
# working folder is the project's root reads it with
#
#     . tests/reference/venv.sh
#
# shellcheck shell=sh
script_name=$(basename "$0" .sh)
export PYTHONDONTWRITEBYTECODE=1

# Makes a virtual environment if there is none.
make_venv() { # folder
    [ ! -x "$1/bin/python" ] || return 0
    mkdir -p "$(dirname "$1")"
    python3 -m venv "$1" || {
        rm -rf "$1"
        echo "$script_name: python3 cannot make a virtual environment; install python3-venv" >&2
        exit 66
    }
}

# Installs the newest version of something in it. Without a network the installed version is used.
update_venv() { # folder, what, modules to import, words for pip...
    venv_folder=$1 venv_what=$2 venv_modules=$3
    shift 3
    make_venv "$venv_folder"
    echo "$script_name: installing or updating $venv_what in $venv_folder"
    "$venv_folder/bin/pip" install --quiet --upgrade "$@" || "$venv_folder/bin/python" -c "import $venv_modules" || {
        echo "$script_name: pip could not install $venv_what; is there a network?" >&2
        exit 66
    }
}
