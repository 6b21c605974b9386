package aggregate

import "encoding/json"

// Upcaster turns stored events of an earlier version of the program into
// later ones. The upcasters of a [Type] are applied in their order, each to
// the stored event or to what the ones before it have made of it, so that a
// chain of them leads from every old form to the present one.
type Upcaster struct {
	// From is the name of the events that it takes.
	From string
	// To returns the events that take the place of one: one that is renamed or
	// reshaped; several, where it is split; none, where it is dropped. They
	// keep what is not changed: usually a copy of the argument is the start. It
	// must be pure, and must not change the argument's data or metadata.
	To func(Raw) ([]Raw, error)
}

// Rename returns the upcaster that gives events another name.
func Rename(from, to string) Upcaster {
	return Upcaster{from, func(r Raw) ([]Raw, error) {
		r.Type = to
		return []Raw{r}, nil
	}}
}

// Drop returns the upcaster that leaves events out, as if they had never happened.
func Drop(name string) Upcaster {
	return Upcaster{name, func(Raw) ([]Raw, error) { return nil, nil }}
}

// Reshape returns the upcaster that gives events, whose data is JSON, another
// name and form.
func Reshape[Old, New any](from, to string, reshape func(Old) New) Upcaster {
	return Upcaster{from, func(r Raw) ([]Raw, error) {
		var old Old
		err := json.Unmarshal(r.Data, &old)
		if err != nil {
			return nil, err
		}
		r.Type = to
		r.Data, err = marshal(reshape(old))
		return []Raw{r}, err
	}}
}

func upcast(upcasters []Upcaster, stored Raw) ([]Raw, error) {
	events := []Raw{stored}
	for _, u := range upcasters {
		var next []Raw
		for _, event := range events {
			if event.Type != u.From {
				next = append(next, event)
				continue
			}
			made, err := u.To(event)
			if err != nil {
				return nil, err
			}
			next = append(next, made...)
		}
		events = next
	}
	return events, nil
}
