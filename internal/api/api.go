package api

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Load returns the types of the packages that patterns name, from what the compiler
// wrote of them.
func Load(dir string, patterns ...string) ([]*types.Package, error) {
	list := func(flags ...string) ([]string, error) {
		cmd := exec.Command("go", append(append([]string{"list"}, flags...), patterns...)...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cmd, err)
		}
		return strings.Fields(string(out)), nil
	}
	paths, err := list()
	if err != nil {
		return nil, err
	}
	lines, err := list("-export", "-deps", "-f", "{{with .Export}}{{$.ImportPath}}={{.}}{{end}}")
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for _, line := range lines {
		name, file, _ := strings.Cut(line, "=")
		files[name] = file
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(name string) (io.ReadCloser, error) { return os.Open(files[name]) })
	var pkgs []*types.Package
	for _, name := range paths {
		pkg, err := imports.Import(name)
		if err != nil {
			return nil, fmt.Errorf("read the types of %s: %w", name, err)
		}
		pkgs = append(pkgs, pkg)
	}
	return pkgs, nil
}

// Text returns the exported API of pkg.
func Text(pkg *types.Package) string {
	p := page{pkg: pkg}
	p.line("package %s // import %q", pkg.Name(), pkg.Path())
	for _, name := range pkg.Scope().Names() { // sorted
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			p.object(obj)
		}
	}
	return p.text.String()
}

// page is the text so far.
type page struct {
	pkg  *types.Package
	text strings.Builder
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// name is how a type is written, with the names of other packages.
func (p *page) name(t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == p.pkg {
			return ""
		}
		return other.Name()
	})
}

func (p *page) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		p.line("const %s %s = %s", obj.Name(), p.name(obj.Type()), obj.Val().ExactString())
	case *types.Var:
		p.line("var %s %s", obj.Name(), p.name(obj.Type()))
	case *types.Func:
		p.line("func %s%s", obj.Name(), p.signature(obj))
	case *types.TypeName:
		p.typeName(obj)
	}
}

func (p *page) signature(f *types.Func) string { return strings.TrimPrefix(p.name(f.Type()), "func") }

// typeName writes a type with all that a program can reach of it.
func (p *page) typeName(obj *types.TypeName) {
	t := types.Unalias(obj.Type())
	switch under := t.Underlying().(type) {
	case *types.Struct:
		p.line("type %s%s struct", obj.Name(), p.alias(obj))
		hidden := false
		for field := range under.Fields() {
			switch {
			case !field.Exported():
				hidden = true
			case field.Embedded():
				p.line("    %s", p.name(field.Type()))
			default:
				p.line("    %s %s", field.Name(), p.name(field.Type()))
			}
		}
		if hidden {
			p.line("    // and fields that are not exported")
		}
	case *types.Interface:
		p.line("type %s%s interface", obj.Name(), p.alias(obj))
	default:
		p.line("type %s%s %s", obj.Name(), p.alias(obj), p.name(under))
	}
	p.methods(t)
}

// alias is where a type is defined, of one that this package only names.
func (p *page) alias(obj *types.TypeName) string {
	if !obj.IsAlias() {
		return ""
	}
	if named, ok := types.Unalias(obj.Type()).(*types.Named); ok && named.Obj().Pkg() != nil {
		return " = " + path.Base(named.Obj().Pkg().Path()) + "." + named.Obj().Name()
	}
	return " ="
}

// methods writes those of a type and its pointer, promoted ones too.
func (p *page) methods(t types.Type) {
	values := types.NewMethodSet(t)
	all := values
	if !types.IsInterface(t) {
		all = types.NewMethodSet(types.NewPointer(t))
	}
	for m := range all.Methods() {
		if !m.Obj().Exported() {
			if types.IsInterface(t) {
				p.line("    // and methods that are not exported")
			}
			continue
		}
		pointer := ""
		if values.Lookup(m.Obj().Pkg(), m.Obj().Name()) == nil {
			pointer = "*"
		}
		p.line("    func %s%s%s", pointer, m.Obj().Name(), p.signature(m.Obj().(*types.Func)))
	}
}
