from sesim_mmagic.utils.messages import cut, first_lines, in_one_line


def test_a_message_is_one_line_of_bounded_length():
    assert in_one_line(ValueError(' no\n  such  file\n')) == 'no such file'
    assert in_one_line(KeyError('name')) == 'name'
    assert in_one_line(AssertionError()) == 'AssertionError'
    assert in_one_line(ValueError('x' * 700)) == 'x' * 600 + ' ...'
    assert in_one_line(ValueError('x' * 700), 3) == 'xxx ...' == cut('xxxx', 3)
    assert cut('xxx', 3) == 'xxx'


def test_the_first_of_many_lines():
    assert first_lines(['a', 'b']) == 'a; b'
    assert first_lines(list('abcdefg')) == 'a; b; c; d; e; and 2 more'
